// SPDX-License-Identifier: GPL-2.0-only
/*
 * What vCPUs of a guest wait for from each other is not held up by a delay: an
 * interrupt or NMI for the vCPU that is delayed ends it.  The guest runs the
 * handler, faults again, and is delayed for the rest.
 */
#include "apic.h"

#include "policy_fixture.h"

#define IPI_VECTOR	0xa5
#define HIGH_VECTOR	0xe5
#define ROUNDS		40

/* Shared with the guest. */
static volatile uint32_t faulter_id;
static volatile uint64_t faulter_ready;
static volatile uint64_t answered;
/* Where an interrupt makes the first vCPU go on, in turns; none if 0. */
static volatile uint64_t tasks[2];

#define HOST(vm, variable)						\
	((typeof(&(variable)))addr_gva2hva(vm, (vm_vaddr_t)&(variable)))

static void handle_ipi(struct ex_regs *regs)
{
	uint64_t nr = ++answered;

	x2apic_write_reg(APIC_EOI, 0);
	if (tasks[0])
		regs->rip = tasks[nr & 1];
}

static void handle_nmi(struct ex_regs *regs)
{
	answered++;
}

static void guest_fault(uint64_t address)
{
	x2apic_enable();
	faulter_id = x2apic_read_reg(APIC_ID);
	asm volatile("sti");
	faulter_ready = 1;
	*(volatile uint8_t *)address = 1;
	GUEST_SYNC(1);
}

/* A fault of the interrupt's own, on a stack that is not there. */
static void guest_fault_on_stack(uint64_t address)
{
	x2apic_enable();
	faulter_id = x2apic_read_reg(APIC_ID);
	faulter_ready = 1;
	asm volatile("mov %0, %%rsp\n\tsti\n1:\tpause\n\tjmp 1b"
		     : : "r"(address + PAGE_SIZE) : "memory");
}

static void task_a(void)
{
	*(volatile uint8_t *)DATA_GPA = 1;
	asm volatile("cli");
	GUEST_SYNC(2);
}

static void task_b(void)
{
	*(volatile uint8_t *)(DATA_GPA + PAGE_SIZE) = 1;
	asm volatile("cli");
	GUEST_SYNC(2);
}

static void send(uint32_t what)
{
	x2apic_write_reg(APIC_ICR, ((uint64_t)faulter_id << 32) |
				   APIC_DEST_PHYSICAL | APIC_INT_ASSERT | what);
}

/* Sends, waits for the answer, and says so. */
static void guest_send(uint32_t what)
{
	uint64_t before;

	x2apic_enable();
	for (;;) {
		before = answered;
		send(what);
		while (answered == before)
			cpu_relax();
		GUEST_SYNC(1);
	}
}

/* Does not wait. */
static void guest_send_one(uint32_t what)
{
	x2apic_enable();
	for (;;) {
		send(what);
		GUEST_SYNC(1);
	}
}

static void guest_kick(void)
{
	x2apic_enable();
	kvm_hypercall(KVM_HC_KICK_CPU, 0, faulter_id, 0, 0);
	GUEST_SYNC(1);
}

/* Interrupts are on, but nobody sends any. */
static void guest_fault_alone(uint64_t address)
{
	asm volatile("sti; nop");
	*(volatile uint8_t *)address = 1;
	GUEST_SYNC(1);
}

FIXTURE(event) {
	struct puppet_bpf *p;
	struct bpf_link *link;
	struct kvm_vm *vm;
	struct kvm_vcpu *faulter;
	struct kvm_vcpu *sender;
};

FIXTURE_SETUP(event)
{
	reset_parameters();
	await_no_policy();
	self->vm = new_vm(&self->faulter, 1);
	self->sender = vm_vcpu_add(self->vm, 1, guest_send);
	vcpu_args_set(self->faulter, 1, DATA_GPA);
	vm_install_exception_handler(self->vm, IPI_VECTOR, handle_ipi);
	vm_install_exception_handler(self->vm, HIGH_VECTOR, handle_ipi);
	vm_install_exception_handler(self->vm, NMI_VECTOR, handle_nmi);
	ASSERT_EQ(convert(self->vm, 0, DATA_PAGES, true), 0);
	self->p = new_puppet("event", 0, 0, 0);
	self->link = attach(self->p);
	self->p->bss->fault_verdict = LONG_NS;
}

FIXTURE_TEARDOWN(event)
{
	bpf_link__destroy(self->link);
	puppet_bpf__destroy(self->p);
	kvm_vm_free(self->vm);
	reset_parameters();
}

/* The code that a vCPU begins with. */
static void begin_at(struct kvm_vcpu *vcpu, void *code)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	regs.rip = (unsigned long)code;
	vcpu_regs_set(vcpu, &regs);
}

/* Lets the first vCPU run into its delay. */
static void start_faulter(struct kvm_vm *vm, struct kvm_vcpu *faulter,
			  struct puppet_bpf *p, struct worker *worker,
			  void *code)
{
	begin_at(faulter, code);
	start(worker, run_worker, vm, faulter);
	if (code == guest_fault)
		await(&p->bss->faults, 1);
	else
		await((__u64 *)HOST(vm, faulter_ready), 1);
}

static void answers_in_time(struct __test_metadata *_metadata,
			    FIXTURE_DATA(event) *self, uint32_t what)
{
	__u64 began, took, longest = 0, sum = 0;
	struct worker worker;
	__u64 first;
	int i;

	write_parameter(TOTAL_MAX, LONG_MS);
	first = now_ms();
	start_faulter(self->vm, self->faulter, self->p, &worker, guest_fault);
	vcpu_args_set(self->sender, 1, what);
	for (i = 0; i < ROUNDS; i++) {
		/* Into the middle of a delay. */
		usleep(20000);
		began = now_ms();
		vcpu_run(self->sender);
		took = now_ms() - began;
		longest = max(longest, took);
		sum += took;
		ASSERT_FALSE(is_done(&worker));
	}
	printf("# answered after %llu ms on average, %llu at most\n",
	       sum / ROUNDS, longest);
	EXPECT_EQ(*HOST(self->vm, answered), ROUNDS);
	EXPECT_LE(longest, 500);
	EXPECT_LE(sum / ROUNDS, 100);
	/* It was asked when a delay was over, not after each interrupt. */
	EXPECT_GE(self->p->bss->faults, 1);
	EXPECT_LE(self->p->bss->faults, (now_ms() - first) / 1000 + 1);
	EXPECT_EQ(usage().populated_pages, 0);
	EXPECT_EQ(let_pass(&worker, self->p), 0);
	EXPECT_EQ(usage().populated_pages, 1);
	EXPECT_EQ(usage().faults[GMEM_FAULT_VCPU], 1);
}

TEST_F_TIMEOUT(event, interrupt_ends_a_delay, HANG_SECONDS)
{
	answers_in_time(_metadata, self, APIC_DM_FIXED | IPI_VECTOR);
}

TEST_F_TIMEOUT(event, nmi_ends_a_delay, HANG_SECONDS)
{
	answers_in_time(_metadata, self, APIC_DM_NMI);
}

/* However often it is interrupted, a fault is delayed for so long in sum. */
TEST_F_TIMEOUT(event, interrupted_delays_add_up, HANG_SECONDS)
{
	struct worker worker;
	__u64 began, took;

	write_parameter(TOTAL_MAX, "2000");
	began = now_ms();
	start_faulter(self->vm, self->faulter, self->p, &worker, guest_fault);
	vcpu_args_set(self->sender, 1, APIC_DM_FIXED | IPI_VECTOR);
	begin_at(self->sender, guest_send_one);
	while (!is_done(&worker) && now_ms() - began < 10000) {
		vcpu_run(self->sender);
		usleep(10000);
	}
	took = now_ms() - began;
	printf("# passed after %llu ms and %llu questions\n", took,
	       self->p->bss->faults);
	EXPECT_EQ(let_pass(&worker, self->p), 0);
	EXPECT_GE(took, 2000);
	EXPECT_LE(took, 3000);
	EXPECT_EQ(usage().delays_expired, 1);
}

/*
 * The guest's scheduler: each interrupt makes the vCPU go on with the other of
 * two tasks, and each of them waits for a page of its own.
 */
TEST_F_TIMEOUT(event, two_tasks_are_not_delayed_for_ever, HANG_SECONDS)
{
	struct worker worker;
	__u64 began, took;

	write_parameter(TOTAL_MAX, "500");
	*HOST(self->vm, tasks[0]) = (unsigned long)task_a;
	*HOST(self->vm, tasks[1]) = (unsigned long)task_b;
	began = now_ms();
	start_faulter(self->vm, self->faulter, self->p, &worker, guest_fault);
	vcpu_args_set(self->sender, 1, APIC_DM_FIXED | IPI_VECTOR);
	begin_at(self->sender, guest_send_one);
	while (!is_done(&worker) && now_ms() - began < 10000) {
		vcpu_run(self->sender);
		usleep(50000);
	}
	took = now_ms() - began;
	printf("# passed after %llu ms and %llu questions\n", took,
	       self->p->bss->faults);
	EXPECT_EQ(let_pass(&worker, self->p), 0);
	EXPECT_LE(took, 3000);
}

/* How often it is asked in half a second that it is delayed. */
static __u64 asked_in_a_while(struct puppet_bpf *p)
{
	__u64 before = p->bss->faults;

	usleep(500000);
	return p->bss->faults - before;
}

/* A kick is for a vCPU that halted, and stays until it does. */
TEST_F_TIMEOUT(event, kick_leaves_no_busy_loop, HANG_SECONDS)
{
	struct worker worker;
	__u64 asked;

	start_faulter(self->vm, self->faulter, self->p, &worker, guest_fault);
	begin_at(self->sender, guest_kick);
	vcpu_run(self->sender);
	asked = asked_in_a_while(self->p);
	printf("# asked %llu times in half a second, delayed %llu ms\n", asked,
	       usage().delayed_ns / 1000000);
	EXPECT_LE(asked, 5);
	EXPECT_EQ(let_pass(&worker, self->p), 0);
}

/*
 * The interrupt's own fault is delayed, since its stack is not there.  Another
 * one, which comes before it, cannot come before that fault is over.
 */
TEST_F_TIMEOUT(event, no_busy_loop_within_an_interrupt, HANG_SECONDS)
{
	struct worker worker;
	__u64 asked;

	start_faulter(self->vm, self->faulter, self->p, &worker,
		      guest_fault_on_stack);
	begin_at(self->sender, guest_send_one);
	vcpu_args_set(self->sender, 1, APIC_DM_FIXED | IPI_VECTOR);
	vcpu_run(self->sender);
	await(&self->p->bss->faults, 1);
	begin_at(self->sender, guest_send_one);
	vcpu_args_set(self->sender, 1, APIC_DM_FIXED | HIGH_VECTOR);
	vcpu_run(self->sender);
	asked = asked_in_a_while(self->p);
	printf("# asked %llu times in half a second, delayed %llu ms\n", asked,
	       usage().delayed_ns / 1000000);
	EXPECT_LE(asked, 5);

	/* It goes on with the handlers, and then for ever. */
	answer(self->p, 0);
	while (*HOST(self->vm, answered) < 2)
		usleep(1000);
	while (!is_done(&worker)) {
		pthread_kill(worker.thread, SIGUSR1);
		usleep(1000);
	}
	EXPECT_EQ(finish(&worker), EINTR);
}

/* As new_vm(), but its interrupt controllers are the VMM's business. */
static struct kvm_vm *new_vm_without_apic(struct kvm_vcpu **vcpu)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};
	struct userspace_mem_region *region;
	struct kvm_vm *vm = ____vm_create(shape);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 2048, 0);
	memset(vm->memslots, 0, sizeof(vm->memslots));
	kvm_vm_elf_load(vm, program_invocation_name);
	region = memslot2region(vm, 0);
	ucall_init(vm, region->region.guest_phys_addr +
		       region->region.memory_size);
	*vcpu = vm_vcpu_add(vm, 0, guest_fault_alone);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA,
				    DATA_SLOT, DATA_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(vm, DATA_GPA, DATA_GPA, DATA_PAGES);
	vcpu_args_set(*vcpu, 1, DATA_GPA);

	return vm;
}

/*
 * KVM_RUN returns before the delay is slept, since the VMM wants to know when
 * it can inject an interrupt.  When the guest goes on, the policy allows.
 */
TEST_F_TIMEOUT(event, delay_that_nobody_slept_is_forgotten, HANG_SECONDS)
{
	struct puppet_bpf *p = self->p;
	struct worker worker;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	__u64 began;

	answer(p, 0);
	vm = new_vm_without_apic(&vcpu);
	ASSERT_EQ(convert(vm, 0, DATA_PAGES, true), 0);
	answer(p, LONG_NS);
	p->bss->fault_hold = 1;
	start(&worker, run_worker, vm, vcpu);
	await(&p->bss->faults, 1);
	vcpu->run->request_interrupt_window = 1;
	p->bss->fault_hold = 0;
	EXPECT_EQ(finish(&worker), 0);
	EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	ASSERT_EQ(p->bss->faults, 1);

	answer(p, 0);
	vcpu->run->request_interrupt_window = 0;
	began = now_ms();
	vcpu_run(vcpu);
	EXPECT_LE(now_ms() - began, 500);
	EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	kvm_vm_free(vm);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
