package wire

// PartitionOf is the partition of a key, as the Java clients' default
// partitioner chooses it: murmur2 of the key, positive, modulo the count.
func PartitionOf(key string, partitions int) int32 {
	return int32((murmur2([]byte(key)) & 0x7fffffff) % uint32(partitions))
}

// murmur2 is Austin Appleby's MurmurHash2 with Kafka's seed
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(data []byte) uint32 {
	const m, r = uint32(0x5bd1e995), 24
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
