//! mbind(2).

use super::{AddressSpace, CallRange, Policy};
use crate::Errno;
use std::sync::Arc;

impl AddressSpace {
    /// Sets the policy of a memory range; `None` is the default policy.
    ///
    /// # Errors
    /// - EINVAL: `address` is not the start of a page, the range wraps around, or the policy
    ///   names no node.
    /// - EFAULT: a hole, unless the policy is the default one.
    /// - ENOMEM: `max_map_count` would be exceeded.
    pub fn mbind(
        &mut self,
        range: impl Into<CallRange>,
        policy: Option<Policy>,
    ) -> Result<(), Errno> {
        let CallRange { address, length } = range.into();
        if !self.profile.is_aligned(address) {
            return Err(Errno::EINVAL);
        }
        let length = self.profile.page_align(length).ok_or(Errno::EINVAL)?;
        let end = address.checked_add(length).ok_or(Errno::EINVAL)?;
        if length == 0 {
            return Ok(());
        }
        if let Some(Policy::Bind(nodes) | Policy::Interleave(nodes)) = &policy
            && nodes.is_empty()
        {
            return Err(Errno::EINVAL);
        }
        let mut covered = address;
        let mut hole = false;
        let mut any = false;
        for vma in self.vmas.within(address, end) {
            hole |= vma.start > covered;
            covered = vma.end;
            any = true;
        }
        hole |= covered < end;
        if !any || (hole && policy.is_some()) {
            return Err(Errno::EFAULT);
        }
        let policy = policy.map(Arc::new);
        let visited = self.for_each_part(address, end, |space, at, start, end| {
            if space.vmas.get(at).policy == policy {
                return Ok(());
            }
            space.modify(at, start, end, |vma| vma.policy = policy.clone()).map(|_| ())
        });
        visited.map(|_| ())
    }
}
