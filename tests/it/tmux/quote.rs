//! Quoting, against the real parser.

use paliadin::tmux::Command;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Host;

#[test]
fn quoting_keeps_every_byte() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(Host::start());
    let file = host.dir.path().join("buffer");
    let save = |text: &str, nested: bool| {
        let set = Command::new("set-buffer").args(["-b", "x", "--", text]);
        let line = set.then(Command::new("save-buffer").args(["-b", "x", file.to_str().unwrap()]));
        let line = if nested { Command::new("if-shell").args(["-F", "1"]).command(&line) } else { line };
        assert_eq!(runtime.block_on(host.run(line)), Ok(vec![]));
        std::fs::read_to_string(&file).unwrap()
    };
    for text in
        [";", "\\;", "x\\;", "~", "~/x", "-b", "--", "$HOME", "\\", "\"", "'", "{", "}", "#", "%if", "a=b", "\n"]
    {
        assert_eq!(save(text, false), text);
        assert_eq!(save(text, true), text);
    }
    let character = prop_oneof![
        4 => any::<char>(),
        3 => prop::sample::select("\\\"'$~;#{}%\n\r\t\u{1b}\u{7f} é=-01".chars().collect::<Vec<_>>()),
        3 => prop::char::range(' ', '~'),
    ]
    .prop_filter("tmux has no NUL", |&character| character != '\0');
    let text =
        prop::collection::vec(character, 1..2048).prop_map(|characters| characters.into_iter().collect::<String>());
    let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(text, any::<bool>()), |(text, nested)| {
        prop_assert_eq!(save(&text, nested), text);
        Ok(())
    });
    result.unwrap();
    // Its client's task must end before the runtime does.
    runtime.block_on(host.server.shutdown()).unwrap();
}
