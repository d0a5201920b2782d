//! What a program can ask of valgrind's memcheck, on x86-64.
//!
//! A request is a fixed sequence of instructions that does nothing on a processor and that valgrind looks for
//! (`valgrind.h`, section "client requests"; the numbers are those of `valgrind.h` and `memcheck.h`).
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a client request is inline assembly; nothing else asks valgrind"
    )
)]

const RUNNING_ON_VALGRIND: u64 = 0x1001;
const COUNT_ERRORS: u64 = 0x1201;
const MAKE_MEM_UNDEFINED: u64 = 0x4d43_0001;
const MAKE_MEM_DEFINED: u64 = 0x4d43_0002;

/// Whether somebody listens.
pub(crate) fn is_running() -> bool {
    request(RUNNING_ON_VALGRIND, &[]) != 0
}

/// How many times memcheck has reported something.
pub(crate) fn reports() -> u64 {
    request(COUNT_ERRORS, &[])
}

/// From here on, a branch or an address that depends on these bytes is reported.
pub(crate) fn make_secret(bytes: &mut [u8]) {
    request(MAKE_MEM_UNDEFINED, bytes);
}

/// These bytes are for everybody to see: what depends on them is not reported any more.
pub(crate) fn make_public(bytes: &[u8]) {
    request(MAKE_MEM_DEFINED, bytes);
}

#[cfg(target_arch = "x86_64")]
fn request(number: u64, bytes: &[u8]) -> u64 {
    let arguments = [number, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0];
    let mut answer = 0_u64;
    // SAFETY: outside of valgrind, four rotations by 128 bits in all and an exchange of a register with itself change
    // nothing but flags. Inside, `rax` points to six words that live until the end of the block, `rdx` takes the answer,
    // and of the bytes only memcheck's own notes about them change.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
        );
    }
    answer
}

/// No answer: the program then says what it needs.
#[cfg(not(target_arch = "x86_64"))]
fn request(_number: u64, _bytes: &[u8]) -> u64 {
    0
}
