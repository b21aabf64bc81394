// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's serial port: as much of a 16550A as Linux needs for a console.
 * It sends at once and receives nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/serial_reg.h>

#include "gmemboot.h"

#define BASE	0x3f8
#define IRQ	4

static uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
/* The transmitter is empty and the guest was not told. */
static bool empty;

bool uart_has(uint16_t port)
{
	return port >= BASE && port < BASE + 8;
}

bool uart_is_open(void)
{
	/* A probe sets all of them or none. */
	return (ier & (UART_IER_RDI | UART_IER_MSI)) == UART_IER_RDI;
}

static void set_irq(struct vm *vm)
{
	static bool was;
	bool is = empty && (ier & UART_IER_THRI);
	struct kvm_irq_level line = { .irq = IRQ, .level = is };

	if (is != was && ioctl(vm->fd, KVM_IRQ_LINE, &line))
		die("cannot raise the serial port's interrupt: KVM_IRQ_LINE: %s", strerror(errno));
	was = is;
}

static uint8_t read_iir(void)
{
	uint8_t iir = fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0;

	if (!empty || !(ier & UART_IER_THRI))
		return iir | UART_IIR_NO_INT;
	/* To read it is to be told. */
	empty = false;
	return iir | UART_IIR_THRI;
}

uint8_t uart_read(struct vm *vm, uint16_t port)
{
	uint8_t value = 0;

	switch (port - BASE) {
	case UART_RX:
		value = lcr & UART_LCR_DLAB ? dll : 0;
		break;
	case UART_IER:
		value = lcr & UART_LCR_DLAB ? dlm : ier;
		break;
	case UART_IIR:
		value = read_iir();
		break;
	case UART_LCR:
		value = lcr;
		break;
	case UART_MCR:
		value = mcr;
		break;
	case UART_LSR:
		value = UART_LSR_TEMT | UART_LSR_THRE;
		break;
	case UART_MSR:
		value = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
		break;
	case UART_SCR:
		value = scr;
		break;
	}
	set_irq(vm);
	return value;
}

void uart_write(struct vm *vm, uint16_t port, uint8_t value)
{
	switch (port - BASE) {
	case UART_TX:
		if (lcr & UART_LCR_DLAB) {
			dll = value;
			break;
		}
		console_byte(value);
		/* The next byte is a reason of its own: down, and up again. */
		empty = false;
		set_irq(vm);
		empty = true;
		break;
	case UART_IER:
		if (lcr & UART_LCR_DLAB) {
			dlm = value;
			break;
		}
		if (value & ~ier & UART_IER_THRI)
			empty = true;
		ier = value & 0xf;
		break;
	case UART_FCR:
		fcr = value;
		break;
	case UART_LCR:
		lcr = value;
		break;
	case UART_MCR:
		mcr = value;
		break;
	case UART_SCR:
		scr = value;
		break;
	}
	set_irq(vm);
}
