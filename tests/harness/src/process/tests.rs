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

/// Set, it names the folder for the logs of [`be_the_victim`].
const VICTIM: &str = "PORTCULLIS_TEST_VICTIM";
/// Writes its number, which is its group's, and ends in good order when it is asked to.
const POLITE: &str = "trap 'echo ended; exit' TERM; echo $$; while :; do sleep 600 & wait; done";
/// The same, but nothing less than SIGKILL ends it.
const STUBBORN: &str = "trap '' TERM; echo $$; while :; do sleep 600 & wait; done";

/// Plays two parts: the process that is killed is this very test, run again with [`VICTIM`] set.
#[test]
fn what_a_killed_process_has_started_ends_with_it() {
    if let Some(logs) = std::env::var_os(VICTIM) {
        be_the_victim(Path::new(&logs));
    }
    let logs = crate::workspace::scratch().unwrap().join("victim");
    std::fs::create_dir_all(&logs).unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    let name = "process::tests::what_a_killed_process_has_started_ends_with_it";
    again.args(["--exact", name, "--nocapture"]);
    again.env(VICTIM, &logs);
    let victim = Process::spawn("victim", again, &logs.join("victim.log"), Stop::Kill).unwrap();
    let number = |log: &str| {
        let written = std::fs::read_to_string(logs.join(log)).unwrap_or_default();
        let (number, _) = written.split_once('\n')?;
        Pid::from_raw(number.parse().unwrap())
    };
    wait_until("the victim's children", || {
        victim.check().unwrap();
        // A child can write before its parent has told the guard of it.
        let told = logs.join("told").exists();
        told && number("polite.log").is_some() && number("stubborn.log").is_some()
    });
    let groups = ["polite.log", "stubborn.log"].map(|log| number(log).unwrap());
    let folder = victims_folder(&logs);
    assert!(groups.into_iter().all(lives) && folder.is_dir());
    victim.kill();
    wait_until("the end of the children", || !groups.into_iter().any(lives));
    let polite = std::fs::read_to_string(logs.join("polite.log")).unwrap();
    assert!(polite.ends_with("ended\n"), "it was not asked: {polite}");
    wait_until("the end of its folder", || !folder.exists());
}

/// Starts two children and waits for its own end.
fn be_the_victim(logs: &Path) -> ! {
    let folder = crate::workspace::scratch().unwrap();
    std::fs::write(logs.join("folder"), folder.as_os_str().as_encoded_bytes()).unwrap();
    let start = |name: &str, script: &str| {
        let log = logs.join(name).with_extension("log");
        Process::spawn(name, shell(script), &log, Stop::Term).unwrap()
    };
    let _children = [start("polite", POLITE), start("stubborn", STUBBORN)];
    std::fs::write(logs.join("told"), "").unwrap();
    loop {
        std::thread::park();
    }
}

fn victims_folder(logs: &Path) -> PathBuf {
    PathBuf::from(std::fs::read_to_string(logs.join("folder")).unwrap())
}

#[test]
fn what_has_been_forgotten_is_left_alone() {
    let folder = crate::workspace::scratch().unwrap();
    let start = |name: &str| {
        let log = folder.join(name).with_extension("log");
        Process::spawn(name, shell("exec sleep 600"), &log, Stop::Kill).unwrap()
    };
    let (watched, forgotten) = (start("watched"), start("forgotten"));
    let list = format!(
        "watch KILL {0}\nwatch KILL {1}\nforget {1}\n",
        watched.id(),
        forgotten.id()
    );
    run_with_input("a guard", shell(guard::SCRIPT), &list, GRACE).unwrap();
    wait_until("the end of what was watched", || watched.exited().is_some());
    forgotten.check().unwrap();
}

/// Whether any process of the group is left, be it one that the system has yet to bury.
fn lives(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group).is_ok()
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let asked = Instant::now();
    while !so() {
        // The guard gives what it ends five seconds.
        assert!(asked.elapsed() < 4 * GRACE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn dropping_ends_the_whole_group() {
    let log = crate::workspace::scratch().unwrap().join("group.log");
    let process =
        Process::spawn("group", shell("sleep 60 & echo $!; wait"), &log, Stop::Term).unwrap();
    let group = process.group;
    wait_until("its line", || !std::fs::read(&log).unwrap().is_empty());
    assert!(lives(group));
    drop(process);
    wait_until("the end of the group", || !lives(group));
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

#[tokio::test]
async fn what_listens_is_up_and_what_has_ended_shows_its_log() {
    let log = crate::workspace::scratch().unwrap().join("up.log");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let process = Process::spawn("sleeper", shell("exec sleep 600"), &log, Stop::Kill).unwrap();
    process.listening(addr, GRACE).await.unwrap();
    // Not the listener's once it is closed: what a test beside this one starts holds it open until it has become its program.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let late = process.listening(nobody, Duration::from_millis(1)).await;
    assert!(format!("{:#}", late.unwrap_err()).contains("in vain for sleeper"));
    let process =
        Process::spawn("broken", shell("echo because; exit 3"), &log, Stop::Kill).unwrap();
    let error = process.listening(nobody, GRACE).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("broken ended") && error.contains("because"),
        "{error}"
    );
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
