package demo

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
)

// picture is a real PNG of some kilobytes, of colours drawn from the seed.
func picture(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	const size = 96
	m := image.NewNRGBA(image.Rect(0, 0, size, size))
	a, b := r.Uint32(), r.Uint32()
	for y := range size {
		for x := range size {
			m.SetNRGBA(x, y, color.NRGBA{
				R: uint8(a + uint32(x*y/8)), G: uint8(b + uint32(2*x)), B: uint8(a>>8 + uint32(2*y)), A: 255,
			})
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, m) // a buffer takes everything
	return out.Bytes()
}
