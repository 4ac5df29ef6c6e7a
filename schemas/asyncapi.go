package schemas

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"troupe/choreo"
)

// AsyncAPI is the description of what goes over Kafka, in AsyncAPI 3.1: a
// channel per topic, a message per fact with the schema beside this file, and
// an operation for everyone who sends or receives.
func AsyncAPI(flow *choreo.Flow) []byte {
	a := asyncAPI{flow: flow, senders: map[string][]string{}}
	for _, c := range flow.Commands() {
		for _, t := range c.EmitsTypes {
			a.sends(c.Name, t)
		}
	}
	for _, c := range flow.Consumers() {
		for _, r := range c.Rules() {
			for _, t := range slices.Concat(r.Emits, r.FailsWith) {
				a.sends(c.Name, t)
			}
		}
	}
	a.b.WriteString(asyncAPIHead)
	a.channels()
	a.operations()
	a.messages()
	return a.b.Bytes()
}

const asyncAPIHead = `# Written by "troupe flow generate" from the flow: do not edit.
asyncapi: 3.1.0
info:
  title: Troupe
  version: "1"
  description: >-
    Facts on Kafka topics: CloudEvents 1.0 in the Kafka protocol binding, binary mode. The record key is the fact's
    first id, and orders what is said of it. TROUPE_PREFIX, where it is set, stands before every topic and group.
defaultContentType: application/json
servers:
  kafka:
    host: "{brokers}"
    protocol: kafka
    description: What TROUPE_KAFKA_BROKERS names.
    variables:
      brokers:
        default: 127.0.0.1:9092
        description: host:port of a broker
`

type asyncAPI struct {
	flow    *choreo.Flow
	b       bytes.Buffer
	names   []string // who sends, in the order of the flow
	senders map[string][]string
}

func (a *asyncAPI) sends(name, factType string) {
	if a.flow.IsDomain(factType) {
		return
	}
	if a.senders[name] == nil {
		a.names = append(a.names, name)
	}
	if !slices.Contains(a.senders[name], factType) {
		a.senders[name] = append(a.senders[name], factType)
	}
}

func (a *asyncAPI) line(format string, args ...any) { fmt.Fprintf(&a.b, format+"\n", args...) }

// message names a fact type where dots are not allowed.
func message(factType string) string { return strings.ReplaceAll(factType, ".", "_") }

func (a *asyncAPI) channels() {
	a.line("channels:")
	for _, topic := range a.flow.Topics() {
		a.line("  %s:", topic)
		a.line("    address: %s", topic)
		a.line("    messages:")
		for _, f := range a.flow.Facts() {
			if t := f.FactType(); choreo.Topic(t) == topic {
				a.line("      %s:", message(t))
				a.line("        $ref: '#/components/messages/%s'", message(t))
			}
		}
	}
}

func (a *asyncAPI) operations() {
	a.line("operations:")
	for _, name := range a.names {
		a.operation("send", name, a.senders[name])
	}
	for _, c := range a.flow.Consumers() {
		var types []string
		for _, r := range c.Rules() {
			if !r.Domain {
				types = append(types, r.On)
			}
		}
		a.operation("receive", c.Name, types)
	}
}

// operation is one per topic, since an operation has one channel.
func (a *asyncAPI) operation(action, name string, types []string) {
	for _, topic := range a.flow.Topics() {
		of := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return choreo.Topic(t) != topic })
		if len(of) == 0 {
			continue
		}
		a.line("  %s.%s.%s:", name, action, topic)
		a.line("    action: %s", action)
		a.line("    title: %s", name)
		a.line("    channel:")
		a.line("      $ref: '#/channels/%s'", topic)
		if action == "receive" {
			a.line("    bindings:")
			a.line("      kafka:")
			a.line("        groupId:")
			a.line("          type: string")
			a.line("          enum: [%s]", name)
		}
		a.line("    messages:")
		for _, t := range of {
			a.line("      - $ref: '#/channels/%s/messages/%s'", topic, message(t))
		}
	}
}

func (a *asyncAPI) messages() {
	a.line("components:")
	a.line("  messages:")
	for _, f := range a.flow.Facts() {
		t := f.FactType()
		a.line("    %s:", message(t))
		a.line("      name: %s", t)
		a.line("      title: %s", t)
		a.line("      contentType: application/json")
		a.line("      headers:")
		a.line("        $ref: '#/components/schemas/headers'")
		a.line("      payload:")
		a.line("        schemaFormat: application/schema+json;version=draft-07")
		a.line("        schema:")
		a.line("          $ref: ./%s.json", t)
		a.line("      bindings:")
		a.line("        kafka:")
		a.line("          key:")
		a.line("            type: string")
	}
	a.b.WriteString(asyncAPIHeaders)
}

const asyncAPIHeaders = `  schemas:
    headers:
      type: object
      description: CloudEvents attributes and our extensions. A record with ce_type alone is accepted.
      required: [ce_type]
      properties:
        ce_specversion: { type: string, enum: ["1.0"] }
        ce_id: { type: string, maxLength: 255, description: The id of the event. }
        ce_source: { type: string, maxLength: 255, description: "/troupe/<database id>/<epoch>, where it is ours." }
        ce_type: { type: string, maxLength: 255, description: topic.Fact.version }
        ce_time: { type: string, format: date-time }
        ce_dataschema: { type: string, description: Where the schema of the data is. }
        ce_correlationid: { type: string, maxLength: 255, description: The saga. }
        ce_causationid: { type: string, maxLength: 255, description: The event that was reacted to. }
        ce_emitter: { type: string, description: The consumer or command. }
        ce_sequence: { type: string, description: The gapless number of the event in its topic partition. }
        ce_ranin: { type: string, description: "Consumers that ran in the transaction, with commas between." }
        traceparent: { type: string, description: W3C trace context. }
        content-type: { type: string, enum: [application/json] }
`
