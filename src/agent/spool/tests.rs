use std::sync::Arc;

use super::*;

fn fixture() -> (tempfile::TempDir, Spool, TurnId) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::create(&dir.path().join("spool"), "paliadin-1", Owner::Server).unwrap();
    (dir, spool, TurnId::fresh())
}

#[test]
fn inputs_come_and_go() {
    let (_dir, spool, turn) = fixture();
    spool.write_input(turn, Input::Message, b"hello").unwrap();
    let path = spool.path().join(format!("in/{turn}.message.md"));
    assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    spool.remove_inputs(turn);
    assert!(!path.exists());
}

#[test]
fn a_token_goes_alone() {
    let (_dir, spool, turn) = fixture();
    let other = TurnId::fresh();
    for (turn, input) in [(turn, Input::Token), (turn, Input::Primer), (other, Input::Token)] {
        spool.write_input(turn, input, b"x").unwrap();
    }
    std::fs::write(spool.path().join(format!("in/.{turn}.jwt")), "x").unwrap();
    spool.remove_token(turn);
    let names = std::fs::read_dir(spool.path().join("in")).unwrap().map(|file| file.unwrap().file_name());
    let mut left: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    let mut expected = [format!("{turn}.primer.md"), format!("{other}.jwt")];
    expected.sort();
    assert_eq!(left, expected);
    spool.remove_token(turn);
}

#[test]
fn all_files_of_a_turn_go_and_no_others() {
    let (_dir, spool, turn) = fixture();
    let other = TurnId::fresh();
    let files = |dir: &str, turn: TurnId| {
        let suffixes = ["jwt", "message.md", "txt", "part", "whatever"].map(|suffix| format!("{turn}.{suffix}"));
        let hidden = [format!(".{turn}.context.json"), format!(".{turn}.tmp"), turn.to_string()];
        let names = suffixes.into_iter().chain(hidden);
        names.map(|name| spool.path().join(dir).join(name)).collect::<Vec<_>>()
    };
    let kept = ["in/settings.json", "out/events.jsonl", "out/events.before.jsonl"].map(|name| spool.path().join(name));
    for dir in ["in", "out"] {
        let all = files(dir, turn).into_iter().chain(files(dir, other)).chain(kept.clone());
        all.for_each(|path| std::fs::write(path, "x").unwrap());
    }
    std::fs::create_dir(spool.path().join(format!("out/{turn}.empty"))).unwrap();
    assert_eq!(spool.turns().len(), 2);
    spool.remove_inputs(turn);
    assert!(files("in", turn).iter().all(|path| !path.exists()));
    assert!(files("out", turn).iter().all(|path| path.exists()));
    spool.remove_outputs(turn);
    assert_eq!(spool.turns().iter().map(|(turn, _)| *turn).collect::<Vec<_>>(), [other]);
    for path in files("in", other).iter().chain(&files("out", other)).chain(&kept) {
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn answers_are_read_only_from_plain_files() {
    let (dir, spool, turn) = fixture();
    let path = spool.path().join(format!("out/{turn}.txt"));
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let is_refused = || matches!(spool.read_answer(turn, 100), Err(SpoolError::Invalid { .. }));

    assert_eq!(spool.read_answer(turn, 100), Ok(None));
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    assert!(is_refused());
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&secret, &path).unwrap();
    assert!(is_refused());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(is_refused());
    std::fs::remove_dir(&path).unwrap();
    let fifo = FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(is_refused());
    std::fs::remove_file(&path).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(is_refused());
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "x".repeat(101)).unwrap();
    assert!(matches!(spool.read_answer(turn, 100), Err(SpoolError::TooLarge { size: 101, limit: 100, .. })));
    std::fs::write(&path, "answer").unwrap();
    assert_eq!(spool.read_answer(turn, 100), Ok(Some(b"answer".to_vec())));
}

/// Does this again and again on another thread while `read` goes on.
fn meanwhile(change: impl Fn() + Send, read: impl FnOnce()) {
    let reading = Arc::new(());
    let is_read = Arc::downgrade(&reading);
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            while is_read.strong_count() > 0 {
                change();
            }
        });
        read();
        drop(reading);
    });
}

#[test]
fn a_directory_that_is_replaced_is_no_error() {
    let (_dir, spool, turn) = fixture();
    let (out, beside) = (spool.path().join("out"), spool.path().join("beside"));
    std::fs::write(out.join(format!("{turn}.txt")), "answer").unwrap();
    let replace = || {
        std::fs::rename(&out, &beside).unwrap();
        std::fs::rename(&beside, &out).unwrap();
    };
    meanwhile(replace, || {
        for _ in 0..20_000 {
            let read = spool.read_answer(turn, 100).unwrap();
            assert!(read.is_none_or(|answer| answer == b"answer"));
        }
    });
}

#[test]
fn a_file_that_is_renamed_over_is_read_all_the_same() {
    let (_dir, spool, turn) = fixture();
    let (path, beside) = (spool.path().join(format!("out/{turn}.txt")), spool.path().join("out/beside"));
    std::fs::write(&path, "answer").unwrap();
    let replace = || {
        std::fs::write(&beside, "answer").unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    meanwhile(replace, || {
        for _ in 0..20_000 {
            assert_eq!(spool.read_answer(turn, 100), Ok(Some(b"answer".to_vec())));
        }
    });
}

#[test]
fn signals_are_read_line_by_line() {
    let (_dir, spool, _) = fixture();
    let path = spool.path().join("out/events.jsonl");
    std::fs::write(&path, "one\ntwo\nthr").unwrap();
    let (lines, next) = spool.read_signals(0).unwrap();
    assert_eq!((lines, next), (vec!["one".to_owned(), "two".to_owned()], 8));
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    assert_eq!(spool.read_signals(next).unwrap(), (vec!["three".to_owned()], 14));
    std::fs::write(&path, "new\n").unwrap();
    assert_eq!(spool.read_signals(14).unwrap(), (vec!["new".to_owned()], 4));
    spool.set_signals_aside();
    assert_eq!(spool.read_signals(4).unwrap(), (Vec::new(), 0), "begun anew");
    assert_eq!(spool.read_signals_aside().unwrap(), ["new"]);
    std::fs::write(&path, "newer\n").unwrap();
    spool.set_signals_aside();
    spool.set_signals_aside();
    assert_eq!(spool.read_signals_aside().unwrap(), ["newer"], "one file is kept");
}
