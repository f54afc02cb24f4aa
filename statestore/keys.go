package statestore

import "encoding/binary"

// The key spaces. A key begins with its space's byte; rows, indexes and notes follow with the number
// that the catalog gave the table or index (2 bytes, big-endian), then:
//
//	row    primary key (change.Key)                 -> layout number (uvarint), values (change.AppendRow)
//	index  join key (self-delimiting), primary key  -> nothing
//	note   primary key                              -> nothing
//	meta   name                                     -> JSON
const (
	spaceMeta  byte = 0x00
	spaceRow   byte = 0x01
	spaceIndex byte = 0x02
	spaceNote  byte = 0x03
)

// prefixSize is the length of what stands before the primary key or the join key.
const prefixSize = 3

func appendPrefix(b []byte, space byte, number uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, space), number)
}

// appendPrefixEnd appends the least key above all keys of the table or index.
func appendPrefixEnd(b []byte, space byte, number uint16) []byte {
	n := uint32(space)<<16 | uint32(number) + 1
	return append(b, byte(n>>16), byte(n>>8), byte(n))
}

func metaKey(name string) []byte { return append([]byte{spaceMeta}, name...) }

// after returns the least key above all keys that begin with p, which is not all 0xff.
func after(b, p []byte) []byte {
	b = append(b[:0], p...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return b[:0]
}
