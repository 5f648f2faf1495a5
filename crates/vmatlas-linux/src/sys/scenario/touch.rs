//! Touches memory as a program does, and catches the signal if the kernel refuses.

use std::mem::zeroed;
use std::ptr::null_mut;

/// Room for the largest signal frame of an x86-64 kernel, and a handler.
const STACK: usize = 64 << 10;

/// Loads or stores one byte at an address of this process.
///
/// # Errors
/// The signal that was raised; negative `ENOSYS` on unsupported architectures.
pub(crate) fn touch(address: usize, store: bool) -> Result<(), i32> {
    let signal = if store { machine::store(address) } else { machine::load(address) };
    if signal == 0 { Ok(()) } else { Err(signal as i32) }
}

/// Lets this thread, and its forked processes, survive the faults of [`touch`].
///
/// The handler runs on its own stack, because the thread's stack may be the touched memory.
pub(crate) fn survive_faults() -> std::io::Result<()> {
    let stack: &'static mut [u8] = Box::leak(vec![0; STACK].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the stack is never freed and used for nothing else; zeroes are a valid sigaction;
    // the handler has the signature that SA_SIGINFO asks for and only looks at its arguments.
    let done = unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaltstack(&raw const stack, null_mut()) == 0
            && libc::sigaction(libc::SIGSEGV, &raw const action, null_mut()) == 0
            && libc::sigaction(libc::SIGBUS, &raw const action, null_mut()) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

extern "C" fn on_fault(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO the context that it will restore, which
    // nothing else refers to.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if !machine::recover(context, signal) {
        // SAFETY: a fault of this program itself, which ends it when it is repeated.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Functions whose first instruction is the access, and the address to continue at after a fault.
#[cfg(target_arch = "x86_64")]
mod machine {
    use std::arch::naked_asm;

    #[unsafe(naked)]
    pub(super) extern "C" fn load(address: usize) -> usize {
        naked_asm!("mov al, byte ptr [rdi]", "xor eax, eax", "ret")
    }

    #[unsafe(naked)]
    pub(super) extern "C" fn store(address: usize) -> usize {
        naked_asm!("mov byte ptr [rdi], 1", "xor eax, eax", "ret")
    }

    /// Returns the value in the result register to the caller of one of the above.
    #[unsafe(naked)]
    extern "C" fn failed() {
        naked_asm!("ret")
    }

    /// Whether the fault was in one of the above functions, which then returns the signal.
    pub(super) fn recover(context: &mut libc::ucontext_t, signal: libc::c_int) -> bool {
        let registers = &mut context.uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as usize;
        let known = at == load as *const () as usize || at == store as *const () as usize;
        if known {
            registers[libc::REG_RIP as usize] = failed as *const () as i64;
            registers[libc::REG_RAX as usize] = i64::from(signal);
        }
        known
    }
}

/// As above.
#[cfg(target_arch = "aarch64")]
mod machine {
    use std::arch::naked_asm;

    #[unsafe(naked)]
    pub(super) extern "C" fn load(address: usize) -> usize {
        naked_asm!("ldrb w1, [x0]", "mov x0, #0", "ret")
    }

    #[unsafe(naked)]
    pub(super) extern "C" fn store(address: usize) -> usize {
        naked_asm!("strb w1, [x0]", "mov x0, #0", "ret")
    }

    #[unsafe(naked)]
    extern "C" fn failed() {
        naked_asm!("ret")
    }

    pub(super) fn recover(context: &mut libc::ucontext_t, signal: libc::c_int) -> bool {
        let context = &mut context.uc_mcontext;
        let at = context.pc as usize;
        let known = at == load as *const () as usize || at == store as *const () as usize;
        if known {
            context.pc = failed as *const () as u64;
            context.regs[0] = signal as u64;
        }
        known
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod machine {
    pub(super) fn load(_: usize) -> usize {
        -libc::ENOSYS as usize
    }

    pub(super) fn store(_: usize) -> usize {
        -libc::ENOSYS as usize
    }

    pub(super) fn recover(_: &mut libc::ucontext_t, _: libc::c_int) -> bool {
        false
    }
}
