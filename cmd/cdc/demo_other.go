//go:build !linux

package main

import "syscall"

// demoChild: only Linux can tie a child's life to its parent's.
func demoChild() *syscall.SysProcAttr { return nil }
