package steer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// skPass lets the connection in. When the chosen slot is empty or its socket closed, the kernel falls back to its hash over the
// listeners that live, so a bad choice here refuses nobody.
const skPass = 1

// golden is 2^32 divided by the golden ratio. Its multiples mod 2^32 fill that range as evenly as any sequence can at every length, and
// so do every second, third or fourth of them.
const golden = 2654435769

// slotOf is the deal: which of the listeners gets connection n, counted from 0.
//
// Round robin, n % listeners, is exactly even over all connections and not at all over those that matter: a Java producer opens one
// connection to bootstrap and one for its data, so with 2 listeners every data connection of a fleet started in turn lands on the second.
// Here all connections are within two of even, and so, within five, is every second to eighth of them, for up to 64 listeners (a
// test walks them all). Round robin with a rotated or shuffled start each round was tried: one resonates at other strides, the other is no better than chance.
//
// The program computes this in the kernel; here it is the oracle of tests. The counter's wrap at 2^32 leaves no seam.
func slotOf(n uint32, listeners int) int {
	return int(uint64((n+1)*golden) * uint64(listeners) >> 32)
}

// dealer assembles the program. In C it would be:
//
//	u32 n = __sync_fetch_and_add(&turn, 1);
//	u32 slot = slotOf(n, listeners);
//	bpf_sk_select_reuseport(ctx, &sockets, &slot, 0);
//	return SK_PASS;
//
// loose adds and then loads, which Linux 5.10 can, where the other fetches atomically.
func dealer(turn, sockets *ebpf.Map, listeners int, loose bool) asm.Instructions {
	const slot = -4 // stack offset of the key
	multiplier := uint32(golden)
	next := asm.Instructions{asm.FetchAdd.Mem(asm.R2, asm.R1, asm.Word, 0)}
	// cilium/ebpf v0.22.0 copies the immediate before it computes it and so loses BPF_FETCH: the register would keep the
	// operand and every connection go to one slot. Constant is that immediate.
	next[0].Constant = 1
	if loose {
		next = asm.Instructions{
			asm.AddAtomic.Mem(asm.R2, asm.R1, asm.Word, 0),
			asm.LoadMem(asm.R1, asm.R2, 0, asm.Word),
		}
	}
	program := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), // the context survives in r6
		asm.LoadMapValue(asm.R2, turn.FD(), 0),
		asm.Mov.Imm(asm.R1, 1),
	}
	program = append(program, next...) // r1 = n, or n+1 if loose
	if !loose {
		program = append(program, asm.Add.Imm(asm.R1, 1))
	}
	return append(program,
		asm.Mul.Imm32(asm.R1, int32(multiplier)), // 32 bits wide, and clears the upper half
		asm.Mul.Imm(asm.R1, int32(listeners)),
		asm.RSh.Imm(asm.R1, 32),
		asm.StoreMem(asm.RFP, slot, asm.R1, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, sockets.FD()),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, slot),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkSelectReuseport.Call(),
		asm.Mov.Imm(asm.R0, skPass),
		asm.Return(),
	)
}

// attachDealer loads the program, fills its table of sockets and attaches it to their group.
func attachDealer(fds []int, loose bool) (h held, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
			h = nil
		}
	}()
	turn, err := ebpf.NewMap(&ebpf.MapSpec{Name: "pinion_turn", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return h, fmt.Errorf("create counter map: %w", err)
	}
	h = append(h, turn)
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Name: "pinion_listen", Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8, MaxEntries: uint32(len(fds))})
	if err != nil {
		return h, fmt.Errorf("create socket map: %w", err)
	}
	h = append(h, sockets)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "pinion_deal",
		Type:         ebpf.SkReuseport,
		AttachType:   ebpf.AttachSkReuseportSelect,
		Instructions: dealer(turn, sockets, len(fds), loose),
		License:      "Apache-2.0",
	})
	if err != nil {
		return h, fmt.Errorf("load program: %w", err)
	}
	h = append(h, program)
	for shard, fd := range fds {
		if err := sockets.Put(uint32(shard), uint64(fd)); err != nil {
			return h, fmt.Errorf("add listener of shard %d: %w", shard, err)
		}
	}
	// On one socket it applies to the whole group.
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, program.FD()); err != nil {
		return h, fmt.Errorf("attach program: %w", err)
	}
	return h, nil
}
