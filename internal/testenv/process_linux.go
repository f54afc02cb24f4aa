package testenv

import "syscall"

// processAttributes puts a server in a process group of its own (a Ctrl-C in
// the terminal reaches us, and we decide) and has the kernel send it deathSig
// when we die, however we die.
//
// The kernel counts the death of the thread that forked, not of the process.
// Go ends a thread only when a goroutine exits while locked to it, which
// nothing that calls this does.
func processAttributes(id identity, deathSig syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSig}
	if id.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attr
}

// diesWithUs has the kernel kill a helper program when we die: a download
// must not go on writing where the next run starts anew.
func diesWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
