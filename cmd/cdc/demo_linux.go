package main

import "syscall"

// demoChild makes the daemon end with the demo, however that ends.
func demoChild() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
