//! The walk from frame to frame.

use super::arch;
use super::frame::{End, Frame, How, Registers};
use super::image::Image;
use super::memory::ReadMemory;
use super::modules::{CodePlace, Modules, Span};
use super::rows::Caller;
use super::rule::Rule;
use super::scan::{self, Budget};
use super::state::State;
use super::table::Context;
use crate::elf::Vaddr;

/// Number of cached rules. They are keyed by place in a file, so they hold for every process.
const KEPT: usize = 4096;
/// Maximum frame size in bytes for which a frame pointer is trusted.
const FRAME: u64 = 8 << 20;
/// How often the stack pointer may decrease in a walk, as it does in programs with their own
/// stacks. The bound prevents endless loops.
const STEPS_DOWN: u32 = 16;

/// Walks stacks. One unwinder serves all processes.
pub struct Unwinder {
    kept: Box<[Option<(CodePlace, Rule)>]>,
    context: Box<Context>,
    depth_limit: usize,
}

impl Default for Unwinder {
    fn default() -> Self {
        Unwinder::new(256)
    }
}

/// The result of one step.
enum Step {
    /// The registers of the next frame replaced those of the current one.
    To {
        exact: bool,
        how: How,
    },
    End(End),
}

/// The state of a walk.
struct Walk<'a, M> {
    modules: &'a Modules,
    memory: &'a mut M,
    budget: Budget,
    /// The walk is still at the innermost frame.
    first: bool,
    /// How the current frame was found.
    how: How,
}

impl Unwinder {
    /// Limits each walk to `depth_limit` frames, innermost first.
    pub fn new(depth_limit: usize) -> Unwinder {
        let context = Box::new(Context::new_in());
        Unwinder { kept: vec![None; KEPT].into(), context, depth_limit }
    }

    /// Replaces `frames` by the frames of a task with these registers, innermost first, and returns
    /// why the walk ended.
    pub fn walk(
        &mut self,
        modules: &Modules,
        registers: &Registers,
        memory: &mut impl ReadMemory,
        frames: &mut Vec<Frame>,
    ) -> End {
        frames.clear();
        memory.begin(registers.sp);
        if registers.compat {
            return self.walk_compat(modules, registers, memory, frames);
        }
        let mut state = State::new(registers);
        let mut walk =
            Walk { modules, memory, budget: Budget::WHOLE, first: true, how: How::Registers };
        let mut exact = true;
        let mut steps_down = 0;
        loop {
            // A call may be the last instruction of a function; the return address then belongs to
            // the next.
            let pc = if exact { state.ip() } else { state.ip().wrapping_sub(1) };
            let span = modules.span(pc);
            let place = span.and_then(|span| span.place(pc));
            if span.is_none() && !walk.first {
                // The address is not code, so the last step found no frame.
                return if state.ip() == 0 { End::Root } else { End::NoRule };
            }
            if frames.len() >= self.depth_limit {
                return End::Truncated;
            }
            frames.push(Frame { pc, place, how: walk.how });
            let (ip, sp) = (state.ip(), state.sp());
            let step = match span {
                Some(span) => self.step(span, place, &mut state, &mut walk),
                None => walk.nowhere(&mut state),
            };
            match step {
                Step::To { exact: is_exact, how } => {
                    // A signal may have used another stack.
                    if state.sp() <= sp && !is_exact {
                        steps_down += 1;
                        if steps_down > STEPS_DOWN || (state.sp(), state.ip()) == (sp, ip) {
                            return End::NoRule;
                        }
                    }
                    exact = is_exact;
                    (walk.how, walk.first) = (how, false);
                }
                Step::End(end) => return end,
            }
        }
    }

    fn step<M: ReadMemory>(
        &mut self,
        span: &Span,
        place: Option<CodePlace>,
        state: &mut State,
        walk: &mut Walk<'_, M>,
    ) -> Step {
        let (rule, vaddr) = match place {
            Some(place) => self.rule(span, place, state, walk),
            None => (Rule::None, None),
        };
        let caller = match rule {
            Rule::Root => return Step::End(End::Root),
            Rule::Saved(saved) => saved.caller(state, walk.memory),
            Rule::Row => span
                .image()
                .zip(vaddr)
                .and_then(|(image, vaddr)| {
                    image.row(vaddr, &mut self.context, |row| row.caller(state, walk.memory))
                })
                .unwrap_or(Caller::Unknown),
            Rule::Trampoline => walk.interrupted(state),
            Rule::None => return walk.without_table(state),
        };
        match caller {
            Caller::Found { exact } => Step::To { exact, how: How::Cfi },
            Caller::None => Step::End(End::Root),
            Caller::Unreadable => Step::End(End::MissingMemory),
            Caller::Unknown => walk.without_table(state),
        }
    }

    /// The rule for a place in a file, and its vaddr if the rule needs it.
    fn rule<M: ReadMemory>(
        &mut self,
        span: &Span,
        place: CodePlace,
        state: &State,
        walk: &mut Walk<'_, M>,
    ) -> (Rule, Option<Vaddr>) {
        let vaddr = || span.image().and_then(|image| image.vaddr(place.offset));
        // File numbers are small: spread them over the bits that offsets leave unused.
        let hash = place.offset ^ u64::from(place.file.0).wrapping_mul(0x9e37_79b9);
        let slot = hash as usize % KEPT;
        if let Some((kept, rule)) = &self.kept[slot]
            && *kept == place
        {
            return (*rule, if *rule == Rule::Row { vaddr() } else { None });
        }
        let vaddr = vaddr();
        let row = span
            .image()
            .zip(vaddr)
            .and_then(|(image, vaddr)| image.row(vaddr, &mut self.context, |row| Rule::of(&row)));
        let rule = match row {
            Some(rule) => rule,
            None => {
                let mut code = [0; arch::TRAMPOLINE];
                let is_start = |(image, vaddr): (&Image, Vaddr)| image.is_start(vaddr);
                if !walk.memory.code(state.ip(), &mut code) {
                    // The table may be readable another time, so the result is not cached.
                    return (Rule::None, vaddr);
                } else if arch::is_trampoline(&code) {
                    Rule::Trampoline
                } else if span.image().zip(vaddr).is_some_and(is_start) {
                    Rule::Root
                } else {
                    Rule::None
                }
            }
        };
        self.kept[slot] = Some((place, rule));
        (rule, vaddr)
    }

    /// 32-bit code is walked by frame pointers only.
    fn walk_compat(
        &mut self,
        modules: &Modules,
        registers: &Registers,
        memory: &mut impl ReadMemory,
        frames: &mut Vec<Frame>,
    ) -> End {
        let mut how = How::Registers;
        let (mut pc, mut sp, mut fp) = (registers.ip, registers.sp, registers.fp);
        loop {
            let span = modules.span(pc);
            if how != How::Registers && span.is_none() {
                return End::NoRule;
            }
            if frames.len() >= self.depth_limit {
                return End::Truncated;
            }
            frames.push(Frame { pc, place: span.and_then(|span| span.place(pc)), how });
            let in_vdso = how == How::Registers && span.is_some_and(Span::is_vdso);
            let (saved_fp, saved_ip) = if in_vdso {
                let (saved_fp, saved_ip) = arch::COMPAT_VSYSCALL;
                (sp.wrapping_add(saved_fp), sp.wrapping_add(saved_ip))
            } else if fp == 0 {
                return End::Root;
            } else if fp < sp || fp - sp > FRAME {
                return End::NoRule;
            } else {
                (fp, fp.wrapping_add(4))
            };
            let (Some(next_fp), Some(ip)) =
                (memory.half_word(saved_fp), memory.half_word(saved_ip))
            else {
                return End::MissingMemory;
            };
            if ip == 0 {
                return End::Root;
            }
            (pc, sp, fp) = (u64::from(ip) - 1, saved_ip.wrapping_add(4), u64::from(next_fp));
            how = How::FramePointer;
        }
    }
}

impl<M: ReadMemory> Walk<'_, M> {
    /// Restores the registers that a signal interrupted from the kernel's signal frame.
    fn interrupted(&mut self, state: &mut State) -> Caller {
        let mut caller = *state;
        caller.keep();
        for (index, offset) in arch::SIGNAL_CONTEXT {
            let Some(value) = self.memory.word(state.sp().wrapping_add(offset)) else {
                return Caller::Unreadable;
            };
            caller.set(index, Some(value));
        }
        *state = caller;
        Caller::Found { exact: true }
    }

    /// Handles an instruction pointer in non-executable memory: the task jumped through a bad
    /// pointer. If it was a call, the return address was pushed last.
    fn nowhere(&mut self, state: &mut State) -> Step {
        self.just_called(state, How::Pushed).unwrap_or(Step::End(End::NoRule))
    }

    /// Steps to the return address at the stack pointer, if there is one.
    fn just_called(&mut self, state: &mut State, how: How) -> Option<Step> {
        let ip = self.memory.word(state.sp())?;
        scan::is_return_address(self.modules, self.memory, &mut self.budget, ip)
            .then(|| to(state, ip, state.sp().wrapping_add(8), state.fp(), how))
    }

    /// Steps by the frame pointer, or by scanning.
    fn without_table(&mut self, state: &mut State) -> Step {
        // Functions without a frame, such as those that only make a system call.
        if self.first
            && state.fp() != Some(state.sp())
            && let Some(step) = self.just_called(state, How::Scanned)
        {
            return step;
        }
        let fp = state.fp();
        if fp == Some(0) && self.how == How::FramePointer {
            // The psABI marks the first frame this way. Code that uses the register for other data
            // does not get here by frame pointers.
            return Step::End(End::Root);
        }
        let mut end = if fp == Some(0) { End::Root } else { End::NoRule };
        if let Some(fp) = fp.filter(|&fp| state.sp() <= fp && fp - state.sp() < FRAME) {
            match (self.memory.word(fp), self.memory.word(fp.wrapping_add(8))) {
                (Some(_), Some(0)) => return Step::End(End::Root),
                (Some(next_fp), Some(ip)) if self.modules.is_executable(ip.wrapping_sub(1)) => {
                    let sp = fp.wrapping_add(16);
                    return to(state, ip, sp, Some(next_fp), How::FramePointer);
                }
                (Some(_), Some(_)) => {}
                _ => end = End::MissingMemory,
            }
        }
        if self.how == How::FramePointer {
            // Code that keeps frame pointers ends its chain this way (Go's threads do). Further
            // return addresses on the stack would be left over from earlier calls.
            return Step::End(end);
        }
        let (modules, budget) = (self.modules, &mut self.budget);
        match scan::next_return_address(modules, self.memory, budget, state.sp()) {
            Some((at, ip)) => to(state, ip, at.wrapping_add(8), fp, How::Scanned),
            None => Step::End(end),
        }
    }
}

/// Steps to a caller; only these of its registers are known.
fn to(state: &mut State, ip: u64, sp: u64, fp: Option<u64>, how: How) -> Step {
    state.keep();
    if how == How::FramePointer {
        // Code without tables may have saved the other registers anywhere.
        for index in arch::CALLEE_SAVED {
            state.set(index, None);
        }
    }
    state.set(arch::IP, Some(ip));
    state.set(arch::SP, Some(sp));
    state.set(arch::FP, fp);
    Step::To { exact: false, how }
}
