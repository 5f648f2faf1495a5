//! ELF facts against binutils.
