//! include/uapi/linux/shm.h: flags of shmat(2); and include/uapi/linux/ipc.h: calls by ipc(2).

pub const SHM_RDONLY: u64 = 0o10000;
pub const SHM_RND: u64 = 0o20000;
pub const SHM_REMAP: u64 = 0o40000;

pub const IPC_SHMAT: u32 = 21;
pub const IPC_SHMDT: u32 = 22;
/// Mask of the call in the first argument of ipc(2); the bits above are a version.
pub const IPC_CALL_MASK: u32 = 0xffff;
