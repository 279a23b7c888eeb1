use super::*;

async fn next(changes: &mut Changes) {
    tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.expect("no change was seen").unwrap();
}

#[tokio::test]
async fn changes_are_told_also_after_the_directory_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("s");
    std::fs::create_dir_all(spool.join("out")).unwrap();
    let watch = SpoolWatch::start().unwrap();
    let mut changes = watch.subscribe(&spool).unwrap();

    std::fs::write(spool.join("out/a"), "x").unwrap();
    next(&mut changes).await;

    std::fs::rename(spool.join("out"), spool.join("old")).unwrap();
    std::fs::create_dir(spool.join("out")).unwrap();
    // Told of the new directory, the watch is on it; what is written from then on is seen.
    while std::fs::read_dir(spool.join("out")).unwrap().next().is_none() {
        next(&mut changes).await;
        std::fs::write(spool.join("out/b"), "x").unwrap();
    }
    next(&mut changes).await;
    changes.mark_unchanged();
    std::fs::write(spool.join("out/d"), "x").unwrap();
    next(&mut changes).await;
}

#[tokio::test]
async fn a_spool_that_was_removed_and_made_again_is_watched_again() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("s");
    std::fs::create_dir_all(spool.join("out")).unwrap();
    let watch = SpoolWatch::start().unwrap();
    let before = watch.subscribe(&spool).unwrap();
    std::fs::remove_dir_all(&spool).unwrap();
    std::fs::create_dir_all(spool.join("out")).unwrap();
    let mut changes = watch.subscribe(&spool).unwrap();
    std::fs::write(spool.join("out/a"), "x").unwrap();
    next(&mut changes).await;
    drop(before);
}

#[tokio::test]
async fn an_answer_is_whole_once_it_was_renamed_or_closed() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let (spool, out) = (dir.path().join("s"), dir.path().join("s/out"));
    std::fs::create_dir_all(&out).unwrap();
    let turns: Vec<TurnId> = (0..4).map(|_| TurnId::fresh()).collect();
    let file = |turn: &TurnId| out.join(format!("{turn}.txt"));
    let watch = SpoolWatch::start().unwrap();
    std::fs::write(file(&turns[0]), "there before").unwrap();
    assert!(watch.is_whole(&spool, turns[0]), "nobody watches it");
    let mut before = std::fs::File::create(file(&turns[3])).unwrap();
    before.write_all(b"half").unwrap();
    assert!(!watch.is_whole(&spool, turns[3]), "nobody watches it, and it is being written");
    let mut changes = watch.subscribe(&spool).unwrap();
    assert!(watch.is_whole(&spool, turns[0]));
    assert!(!watch.is_whole(&spool, turns[3]), "begun before the watch");
    drop(before);
    while !watch.is_whole(&spool, turns[3]) {
        next(&mut changes).await;
    }

    let mut written = std::fs::File::create(file(&turns[1])).unwrap();
    written.write_all(b"half").unwrap();
    std::fs::write(out.join("beside"), "renamed").unwrap();
    std::fs::rename(out.join("beside"), file(&turns[2])).unwrap();
    while !watch.is_whole(&spool, turns[2]) {
        next(&mut changes).await;
    }
    assert!(!watch.is_whole(&spool, turns[1]), "it was begun before, and is still being written");
    drop(written);
    while !watch.is_whole(&spool, turns[1]) {
        next(&mut changes).await;
    }
    std::fs::remove_file(file(&turns[2])).unwrap();
    while watch.is_whole(&spool, turns[2]) {
        next(&mut changes).await;
    }
}

#[tokio::test]
async fn a_file_elsewhere_is_watched_for_everyone_who_names_it() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watch = SpoolWatch::start().unwrap();
    let [a, b] = ["a", "b"].map(|name| root.path().join(name));
    let mut both = [&a, &b].map(|spool| {
        std::fs::create_dir_all(spool.join("out")).unwrap();
        watch.subscribe(spool).unwrap()
    });
    let file = home.path().join("turns.jsonl");
    for spool in [&a, &b, &a] {
        watch.attach(spool, Some(&file), Owner::Server).unwrap();
    }
    std::fs::write(&file, "x").unwrap();
    for changes in &mut both {
        next(changes).await;
    }
    // What the one lets go, the other keeps, also by another way to the same directory.
    watch.attach(&a, None, Owner::Server).unwrap();
    let link = root.path().join("link");
    std::os::unix::fs::symlink(home.path(), &link).unwrap();
    watch.attach(&a, Some(&link.join("other")), Owner::Server).unwrap();
    watch.attach(&a, None, Owner::Server).unwrap();
    both[1].mark_unchanged();
    std::fs::write(&file, "y").unwrap();
    next(&mut both[1]).await;
    watch.attach(&b, None, Owner::Server).unwrap();
    assert!(lock(&watch.inner.hints.elsewhere).is_empty() && lock(&watch.inner.attached).is_empty());
}

#[tokio::test]
async fn no_agent_has_a_hand_in_the_watch_of_another_session() {
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watch = SpoolWatch::start().unwrap();
    let [a, b, later] = ["a", "b", "later"].map(|name| root.path().join(name));
    for directory in [a.join("out"), a.join("home/sessions"), b.join("out"), b.join("home"), later.join("out")] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let _own = watch.subscribe(&a).unwrap();
    let mut other = watch.subscribe(&b).unwrap();
    let link = home.path().join("link");
    std::os::unix::fs::symlink(b.join("out"), &link).unwrap();
    let refused = [
        b.join("out/x"),
        b.join("out"),
        b.join("home/x"),
        b.clone(),
        a.join("x"),
        a.join("out/x"),
        a.join("home/../../b/out/x"),
        later.join("out/x"),
        link.join("x"),
        PathBuf::from("Cargo.toml"),
        PathBuf::from("/"),
        home.path().join("nowhere/x"),
    ];
    for file in refused {
        assert!(watch.attach(&a, Some(&file), Owner::Server).is_err(), "{}", file.display());
        watch.attach(&a, None, Owner::Server).unwrap();
    }
    let stranger = Owner::Account { uid: u32::MAX - 1, gid: u32::MAX - 1 };
    assert!(watch.attach(&a, Some(&home.path().join("x")), stranger).is_err());
    // Its own home may well lie in its spool.
    watch.attach(&a, Some(&a.join("home/sessions/x")), Owner::Server).unwrap();
    watch.attach(&a, None, Owner::Server).unwrap();
    other.mark_unchanged();
    std::fs::write(b.join("out/answer"), "x").unwrap();
    next(&mut other).await;
    other.mark_unchanged();
    std::fs::rename(b.join("out"), b.join("old")).unwrap();
    next(&mut other).await;
}

#[tokio::test]
async fn who_asks_for_another_look_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    let watch = SpoolWatch::start().unwrap();
    let mut changes = watch.subscribe(dir.path()).unwrap();
    watch.hint(dir.path());
    next(&mut changes).await;
}

#[tokio::test]
async fn an_overflow_is_told_to_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let watch = SpoolWatch::start().unwrap();
    let mut all = Vec::new();
    for name in ["a", "b"] {
        std::fs::create_dir_all(dir.path().join(name).join("out")).unwrap();
        all.push(watch.subscribe(&dir.path().join(name)).unwrap());
    }
    watch.inner.act_on(Dirty { everything: true, ..Dirty::default() });
    for changes in &mut all {
        next(changes).await;
    }
}
