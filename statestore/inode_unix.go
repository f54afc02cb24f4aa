//go:build unix

package statestore

import (
	"os"
	"syscall"
)

// fileNumber returns the file system's number of the file; 0 when there is none.
func fileNumber(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
