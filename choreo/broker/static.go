package broker

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/IBM/sarama"
)

// instanceID names the member of a group that this process is. The topics are in
// it: a member that comes back is given what it had, whatever it now asks for, so
// that a new binary would wait in vain for a topic that the one before it, which
// was killed, did not follow.
func (c Config) instanceID(group, topics string) string {
	return fmt.Sprintf("%s-%s-%08x", c.Instance, group, crc32.ChecksumIEEE([]byte(topics)))
}

func (s *Subscriber) fenced(err error) error {
	return fmt.Errorf("group %s%s: another process has started with the same TROUPE_INSTANCE %q and taken the place of this one: "+
		"give each process a name of its own (each `troupe up` a --data of its own), or none: %w", s.config.Prefix, s.group, s.config.Instance, err)
}

// leave takes a static member out of its group, so that others have its
// partitions at once: sarama's Close leaves it there, as one that will be back.
// It goes by the id of the member, which no successor has: leaving by the name of
// the instance would throw out the process that fenced this one.
func (m *member) leave() error {
	if m.config.Instance == "" || m.id == "" {
		return nil
	}
	group := m.config.Prefix + m.group
	coordinator, err := m.client.Coordinator(group)
	if err != nil {
		return fmt.Errorf("finding the coordinator of group %s: %w", group, err)
	}
	answer, err := coordinator.LeaveGroup(&sarama.LeaveGroupRequest{
		Version: 4, GroupId: group, Members: []sarama.MemberIdentity{{MemberId: m.id}}})
	if err != nil {
		return fmt.Errorf("asking to leave group %s: %w", group, err)
	}
	errs := []sarama.KError{answer.Err}
	for _, one := range answer.Members {
		errs = append(errs, one.Err)
	}
	for _, err := range errs {
		if !errors.Is(err, sarama.ErrNoError) && !errors.Is(err, sarama.ErrUnknownMemberId) && !errors.Is(err, sarama.ErrFencedInstancedId) {
			return fmt.Errorf("group %s does not let its member go: %w", group, err)
		}
	}
	return nil
}
