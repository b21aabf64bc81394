/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a pin lives by: the BPF file system that it is in, which goes when nobody
 * has it mounted any more.
 */
#ifndef GMEMPOLICY_DEPENDS_H
#define GMEMPOLICY_DEPENDS_H

/**
 * depends_tell() - print one line if pins may not outlive a mount namespace
 *
 * Nothing is printed if the BPF file system at PINS_ROOT is mounted in the
 * host's mount namespace, too.
 */
void depends_tell(void);

/**
 * enum depends_on - where else a file system is mounted
 * @DEPENDS_HOST: on the host
 * @DEPENDS_NAMESPACE: not on the host, so in mount namespaces of their own only
 * @DEPENDS_UNKNOWN: the host is not to be seen from here
 */
enum depends_on {
	DEPENDS_HOST,
	DEPENDS_NAMESPACE,
	DEPENDS_UNKNOWN,
};

/**
 * depends_find() - look a file system up in a list of mounts
 * @mounts: path of a file as /proc/PID/mountinfo
 * @major: of the device number of the file system
 * @minor: likewise
 */
enum depends_on depends_find(const char *mounts, unsigned int major,
			     unsigned int minor);

#endif /* GMEMPOLICY_DEPENDS_H */
