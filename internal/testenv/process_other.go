//go:build !linux

package testenv

import "syscall"

// processAttributes puts a server in a process group of its own. Only Linux
// can also end it with us.
func processAttributes(id identity, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if id.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attr
}

// diesWithUs would end a helper program with us; only Linux can.
func diesWithUs() *syscall.SysProcAttr { return nil }
