//! Unwinds the stacks of stopped tasks: [`vmatlas_object::unwind`] over live memory.

mod task_memory;
#[cfg(test)]
mod tests;

pub(crate) use self::task_memory::TaskMemory;
pub(crate) use vmatlas_object::unwind::{
    Backing, FileId, Frame, How, Images, Modules, ReadMemory, StackCopy, Unwinder,
};
