package api_test

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// wire dials the database, and loses answers to COMMIT where it is told to.
type wire struct {
	lose   atomic.Int64 // so many answers to COMMIT from now on
	before atomic.Bool  // the COMMIT itself is lost, not its answer
	lost   atomic.Int64
}

// Dial connects.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialTimeout(network, address, 10*time.Second)
}

// DialTimeout connects within a time.
func (w *wire) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, timeout)
	return &wired{Conn: c, wire: w}, err
}

// wired is one connection.
type wired struct {
	net.Conn

	wire  *wire
	loses bool // the next answer
}

func (c *wired) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("Q")) && bytes.Contains(b, []byte("COMMIT")) && c.wire.lose.Add(-1) >= 0 {
		c.wire.lost.Add(1)
		if c.wire.before.Load() {
			_ = c.Close()
			return 0, io.ErrUnexpectedEOF
		}
		c.loses = true
	}
	return c.Conn.Write(b)
}

func (c *wired) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.loses { // it was committed: the server has answered
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
