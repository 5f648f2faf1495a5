//! include/uapi/linux/userfaultfd.h: requests of ioctl(2) on a userfaultfd. The kernel reads
//! the low 32 bits of a request.

pub const UFFD_API: u64 = 0xaa;
pub const UFFDIO_API: u64 = 0xc018_aa3f;
pub const UFFDIO_REGISTER: u64 = 0xc020_aa00;
pub const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
pub const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
pub const UFFDIO_REGISTER_MODE_WP: u64 = 2;
pub const UFFD_USER_MODE_ONLY: u64 = 1;
