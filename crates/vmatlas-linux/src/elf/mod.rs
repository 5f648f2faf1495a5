//! What an ELF file says about an offset of it.
