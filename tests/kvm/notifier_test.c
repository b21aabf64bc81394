// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another consumer of a guest_memfd's pages, inside the kernel: what it is told,
 * what it can refuse, and what becomes of a page that it has.  tests/kvm/consumer
 * loads the module.
 */
#include <pthread.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_util.h"
#include "kselftest_harness.h"

#include "in_place.h"

#define DEVICE	"/dev/kvm-gmem-consumer"

FIXTURE(notifier) {
	struct kvm_vm *vm;
	int fd;
	int device;
	char *mem;
};

/* Returns 0 or the errno. */
static int command(int device, const char *format, ...)
{
	char line[64];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return write(device, line, len) == len ? 0 : errno;
}

static int figure(int device, const char *name)
{
	char text[256], *found;
	int len = read(device, text + 1, sizeof(text) - 2);
	char key[32];

	TEST_ASSERT(len > 0, "read " DEVICE);
	text[0] = ' ';
	text[len + 1] = 0;
	snprintf(key, sizeof(key), " %s=", name);
	found = strstr(text, key);
	TEST_ASSERT(found, "no %s in %s", name, text);
	return atoi(found + strlen(key));
}

FIXTURE_SETUP(notifier)
{
	struct sigaction act = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &act, NULL);
	self->vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	self->fd = create(self->vm, BOTH);
	ASSERT_LE(0, self->fd);
	self->mem = map(self->fd);
	ASSERT_NE(MAP_FAILED, (void *)self->mem);
	self->device = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, command(self->device, "attach %d", self->fd));
}

FIXTURE_TEARDOWN(notifier)
{
	close(self->device);
	munmap(self->mem, SIZE);
	close(self->fd);
	kvm_vm_free(self->vm);
}

TEST(what_is_wrong_is_refused)
{
	int device = open(DEVICE, O_RDWR), null = open("/dev/null", O_RDWR);

	ASSERT_LE(0, device);
	EXPECT_EQ(EINVAL, command(device, "pin 0"));
	EXPECT_EQ(EINVAL, command(device, "attach %d", null));
	EXPECT_EQ(EBADF, command(device, "attach 1000"));
	EXPECT_EQ(EINVAL, command(device, "detach"));
	close(null);
	close(device);
}

TEST_F(notifier, is_told_of_all_and_only_once)
{
	ASSERT_EQ(0, convert(self->fd, 0, 4, true));
	EXPECT_EQ(1, figure(self->device, "private"));
	EXPECT_EQ(1, figure(self->device, "ended_private"));
	/* Nothing changes. */
	ASSERT_EQ(0, convert(self->fd, 0, 4, true));
	EXPECT_EQ(1, figure(self->device, "private"));
	ASSERT_EQ(0, convert(self->fd, 0, 8, false));
	EXPECT_EQ(1, figure(self->device, "ended_shared"));
	punch(self->fd, 3, 2);
	EXPECT_EQ(1, figure(self->device, "ended_hole"));
	EXPECT_EQ(0, figure(self->device, "open"));
	EXPECT_EQ(0, figure(self->device, "undone"));
	ASSERT_EQ(0, command(self->device, "detach"));
	ASSERT_EQ(0, convert(self->fd, 0, 8, true));
	EXPECT_EQ(1, figure(self->device, "private"));
}

TEST_F(notifier, host_and_device_have_one_page)
{
	self->mem[0] = 1;
	ASSERT_EQ(0, command(self->device, "pin 0"));
	EXPECT_EQ(EBUSY, command(self->device, "pin 0"));
	ASSERT_EQ(0, command(self->device, "store 0 77"));
	EXPECT_EQ(77, self->mem[0]);
	/* One that nobody has touched. */
	ASSERT_EQ(0, command(self->device, "pin 5"));
	EXPECT_EQ(0, self->mem[5 * PAGE_SIZE]);
	EXPECT_EQ(EINVAL, command(self->device, "pin %d", (int)NR_PAGES));
	ASSERT_EQ(0, convert(self->fd, 9, 1, true));
	EXPECT_EQ(EACCES, command(self->device, "pin 9"));
	EXPECT_EQ(2, figure(self->device, "pages"));
}

/* A device that cannot let go: as if it were in the middle of writing. */
TEST_F(notifier, a_page_that_is_kept_stays_shared)
{
	uint64_t at = 0;

	ASSERT_EQ(0, command(self->device, "pin 7"));
	EXPECT_EQ(EAGAIN, set_attributes_at(self->fd, 0, SIZE, PRIVATE, &at));
	EXPECT_EQ(7 * PAGE_SIZE, at);
	EXPECT_TRUE(reaches(self->mem + 7 * PAGE_SIZE));
	EXPECT_TRUE(reaches(self->mem));
	/* Each that was told of it was told that it came to nothing. */
	EXPECT_EQ(figure(self->device, "private"),
		  figure(self->device, "undone"));
	EXPECT_EQ(0, figure(self->device, "open"));
	ASSERT_EQ(0, command(self->device, "unpin 7"));
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
	EXPECT_FALSE(reaches(self->mem + 7 * PAGE_SIZE));
}

TEST_F(notifier, one_that_refuses_undoes_it_for_others)
{
	int other = open(DEVICE, O_RDWR);
	uint64_t at = 0;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, command(other, "attach %d", self->fd));
	ASSERT_EQ(0, command(other, "refuse 1"));
	ASSERT_EQ(0, command(other, "pin 11"));
	EXPECT_EQ(EAGAIN, set_attributes_at(self->fd, 4 * PAGE_SIZE,
					    20 * PAGE_SIZE, PRIVATE, &at));
	EXPECT_EQ(11 * PAGE_SIZE, at);
	EXPECT_LT(0, figure(self->device, "undone"));
	EXPECT_EQ(0, figure(self->device, "open"));
	EXPECT_EQ(0, figure(other, "private"));
	EXPECT_EQ(0, convert(self->fd, 0, 11, true));
	/* It cannot refuse a hole, nor to share. */
	punch(self->fd, 0, NR_PAGES);
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, false));
	close(other);
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
}

/* A device whose mapping can be taken away, as an IOMMU's can. */
TEST_F(notifier, one_that_lets_go_is_in_nobodys_way)
{
	ASSERT_EQ(0, command(self->device, "revoke 1"));
	ASSERT_EQ(0, command(self->device, "pin 7"));
	ASSERT_EQ(0, command(self->device, "pin 20"));
	EXPECT_EQ(0, convert(self->fd, 0, 10, true));
	EXPECT_EQ(1, figure(self->device, "pages"));
	punch(self->fd, 16, 16);
	EXPECT_EQ(0, figure(self->device, "pages"));
	EXPECT_EQ(1, figure(self->device, "ended_hole"));
}

/* A page that is gone from the file is not another one's. */
TEST_F(notifier, a_hole_is_a_hole)
{
	ASSERT_EQ(0, command(self->device, "pin 3"));
	ASSERT_EQ(0, command(self->device, "store 3 99"));
	punch(self->fd, 3, 1);
	EXPECT_EQ(0, self->mem[3 * PAGE_SIZE]);
	ASSERT_EQ(0, command(self->device, "store 3 98"));
	EXPECT_EQ(0, self->mem[3 * PAGE_SIZE]);
}

/* The file is the VM's to close; what is kept of it counts as closed. */
TEST_F(notifier, is_told_of_the_release)
{
	ASSERT_EQ(0, command(self->device, "pin 2"));
	ASSERT_EQ(0, command(self->device, "forget"));
	EXPECT_EQ(EINVAL, command(self->device, "pin 3"));
	EXPECT_EQ(0, figure(self->device, "release"));
	munmap(self->mem, SIZE);
	close(self->fd);
	EXPECT_EQ(1, figure(self->device, "release"));
	EXPECT_EQ(1, figure(self->device, "ended_release"));
	EXPECT_EQ(1, figure(self->device, "pages"));
	ASSERT_EQ(0, command(self->device, "store 2 5"));
	ASSERT_EQ(0, command(self->device, "detach"));
	self->fd = create(self->vm, BOTH);
	self->mem = map(self->fd);
}

static void on_sigbus_quiet(int sig)
{
}

TEST_F(notifier, is_told_of_broken_memory)
{
	self->mem[4 * PAGE_SIZE] = 1;
	signal(SIGBUS, on_sigbus_quiet);
	/* It cannot be taken from the file: busy, then. */
	ASSERT_TRUE(!madvise(self->mem + 4 * PAGE_SIZE, PAGE_SIZE,
			     MADV_HWPOISON) || errno == EBUSY);
	EXPECT_EQ(1, figure(self->device, "failure"));
	EXPECT_EQ(1, figure(self->device, "ended_failure"));
	EXPECT_EQ(EHWPOISON, command(self->device, "pin 4"));
	EXPECT_EQ(EHWPOISON, convert(self->fd, 0, NR_PAGES, true));
	EXPECT_EQ(0, convert(self->fd, 5, 8, true));
	/* With a hole it is good memory again. */
	punch(self->fd, 4, 1);
	EXPECT_EQ(0, convert(self->fd, 0, NR_PAGES, true));
}

TEST_F(notifier, comes_and_goes_under_fire)
{
	int i, device;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (i = 0;; i++) {
			convert(self->fd, i % 8, 8, i & 1);
			if (!(i % 16))
				punch(self->fd, 0, 16);
		}
	}
	for (i = 0; i < 300; i++) {
		device = open(DEVICE, O_RDWR);
		ASSERT_LE(0, device);
		ASSERT_EQ(0, command(device, "revoke %d", i & 1));
		ASSERT_EQ(0, command(device, "attach %d", self->fd));
		command(device, "pin %d", i % 16);
		ASSERT_LE(0, figure(device, "open"));
		ASSERT_GE(1, figure(device, "open"));
		close(device);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, figure(self->device, "open"));
	EXPECT_EQ(figure(self->device, "shared"),
		  figure(self->device, "ended_shared"));
	EXPECT_EQ(figure(self->device, "hole"),
		  figure(self->device, "ended_hole"));
}

TEST_HARNESS_MAIN
