//! Runs what handles secrets, with the secrets marked, so that memcheck reports each branch and each address that
//! depends on them. Run by `.ci/constant-time`; `README.md` explains it.

mod cases;
mod leaks;
mod memcheck;

use std::process::ExitCode;

fn main() -> ExitCode {
    if !memcheck::is_running() {
        eprintln!("constant-time: run this under valgrind on x86-64; .ci/constant-time does");
        return ExitCode::FAILURE;
    }
    let mut silent = 0_u32;
    for (name, case) in leaks::CASES {
        let reports = reports_of(*case);
        println!("{name}: {reports} reports");
        if reports == 0 {
            eprintln!("constant-time: {name}, and nothing is reported");
            silent = silent.saturating_add(1);
        }
    }
    for (name, case) in cases::CASES {
        println!("{name}: {} reports", reports_of(*case));
    }
    if silent == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How many reports a case makes. Which of them are explained is for `.ci/constant-time` to say.
fn reports_of(case: fn()) -> u64 {
    let before = memcheck::reports();
    case();
    memcheck::reports().saturating_sub(before)
}
