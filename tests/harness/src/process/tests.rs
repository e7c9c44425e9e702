use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn output_comes_back_and_failure_shows_its_end() {
    assert_eq!(
        run("echo", shell("echo one; echo two >&2"), GRACE).unwrap(),
        "one\ntwo\n"
    );
    let error = run("a failure", shell("echo because; exit 3"), GRACE)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a failure failed") && error.contains("because"),
        "{error}"
    );
}

#[test]
fn input_is_what_was_given_or_nothing() {
    assert_eq!(
        run_with_input("cat", shell("cat"), "secret", GRACE).unwrap(),
        "secret"
    );
    assert_eq!(run("cat", shell("cat"), GRACE).unwrap(), "");
}

#[test]
fn too_long_is_stopped_with_its_children() {
    let error = run(
        "sleeper",
        shell("sleep 60 & sleep 60"),
        Duration::from_millis(100),
    )
    .unwrap_err();
    assert!(error.to_string().contains("was stopped after"), "{error}");
}

#[test]
fn dropping_ends_the_whole_group() {
    let log = crate::workspace::scratch().unwrap().join("group.log");
    let process =
        Process::spawn("group", shell("sleep 60 & echo $!; wait"), &log, Stop::Term).unwrap();
    let group = process.group;
    while std::fs::read(&log).unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(rustix::process::test_kill_process_group(group).is_ok());
    drop(process);
    // Gone once the system has buried the orphan, too.
    let dropped = Instant::now();
    while rustix::process::test_kill_process_group(group).is_ok() {
        assert!(dropped.elapsed() < GRACE, "the group lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_frozen_waits_and_can_still_be_ended() {
    let log = crate::workspace::scratch().unwrap().join("frozen.log");
    let count = shell("while :; do echo; sleep 0.01; done");
    let process = Process::spawn("counter", count, &log, Stop::Term).unwrap();
    let lines = || std::fs::read(&log).unwrap().len();
    let grows = |from: usize| {
        let asked = Instant::now();
        while lines() == from && asked.elapsed() < Duration::from_millis(300) {
            std::thread::sleep(Duration::from_millis(5));
        }
        lines() > from
    };
    assert!(grows(0));
    process.freeze().unwrap();
    // The signal arrives a moment after it was sent.
    while grows(lines()) {}
    process.thaw().unwrap();
    assert!(grows(lines()));
    process.freeze().unwrap();
    let asked = Instant::now();
    process.stop();
    assert!(asked.elapsed() < GRACE, "it ended without force");
    assert!(process.freeze().is_err());
}

#[test]
fn the_reason_is_found_in_the_output() {
    let failure = run(
        "a failure",
        shell("echo info; echo error: no route; echo 1: main; exit 1"),
        GRACE,
    );
    assert_eq!(first_error(&failure.unwrap_err()), "no route");
}

#[test]
fn the_last_lines_are_the_last() {
    assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
    assert_eq!(last_lines("", 2), "");
}
