package mail

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// fake is a mail server for what the sandbox, being well-behaved, never does.
// Its answers are by command verb, "" being the greeting and "." the message;
// an answer of "hang" is none at all, one of "drop" ends the connection.
type fake struct {
	answers map[string]string
	hello   []string // extensions
	url     string
	said    chan string // what the client said, as one text
}

func serve(t *testing.T, f *fake) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	f.url, f.said = "smtp://"+listener.Addr().String(), make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.converse(conn)
		}
	}()
	return f
}

func (f *fake) converse(conn net.Conn) {
	var said strings.Builder
	defer func() {
		_ = conn.Close()
		f.said <- said.String()
	}()
	in := bufio.NewReader(conn)
	if !f.answer(conn, "", "220 fake") {
		_, _ = in.WriteTo(io.Discard) // hangs until the client goes
		return
	}
	for inData := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		said.WriteString(line)
		line = strings.TrimRight(line, "\r\n")
		verb, usual := ".", "250 ok"
		switch {
		case inData && line != ".":
			continue
		case !inData:
			verb = strings.ToUpper(strings.Fields(line + " ")[0])
			switch verb {
			case "EHLO":
				usual = strings.Join(append([]string{"250-fake"}, f.hello...), "\r\n250-") + "\r\n250 8BITMIME"
			case "DATA":
				usual = "354 go on"
			case "QUIT":
				usual = "221 bye"
			case "AUTH":
				usual = "235 welcome"
			}
		}
		if !f.answer(conn, verb, usual) {
			if f.answers[verb] == "drop" {
				return
			}
			_, _ = in.WriteTo(io.Discard)
			return
		}
		inData = verb == "DATA" && f.answers["DATA"] == ""
	}
}

func (f *fake) answer(conn net.Conn, verb, usual string) bool {
	answer := f.answers[verb]
	switch answer {
	case "hang", "drop":
		return false
	case "":
		answer = usual
	}
	_, err := fmt.Fprintf(conn, "%s\r\n", answer)
	return err == nil
}
