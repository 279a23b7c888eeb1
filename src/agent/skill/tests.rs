use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::agent::answer;

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn it_is_put_there_once_and_again_only_where_it_differs() {
    let base = tempfile::tempdir().unwrap();
    let below = Path::new(".claude/skills");
    let first = install(base.path(), below).unwrap();
    let skill = base.path().join(".claude/skills/paliadin");
    assert_eq!(first.written, FILES.iter().map(|(path, _)| skill.join(path)).collect::<Vec<_>>());
    assert_eq!(entries(&skill), [".installed", "SKILL.md", "references"]);
    for (path, text) in FILES {
        assert_eq!(&fs::read_to_string(skill.join(path)).unwrap(), text);
        assert_eq!(fs::metadata(skill.join(path)).unwrap().permissions().mode() & 0o777, 0o644);
    }
    let inode = || fs::metadata(skill.join("SKILL.md")).unwrap().ino();
    let before = inode();
    assert_eq!(install(base.path(), below).unwrap(), Changes::default());
    assert_eq!(inode(), before, "it was not written again");
    fs::write(skill.join("references/input.md"), "changed").unwrap();
    let again = install(base.path(), below).unwrap();
    assert_eq!(again.written, [skill.join("references/input.md")]);
    assert_eq!(install(base.path(), below).unwrap(), Changes::default());
    assert_eq!(entries(&skill.join("references")).len(), FILES.len() - 1, "nothing is left behind");
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
    let base = tempfile::tempdir().unwrap();
    let (precious, skill) = (base.path().join("precious"), base.path().join("paliadin"));
    fs::create_dir(&skill).unwrap();
    // Also one that leads to the very content, and one that leads nowhere.
    fs::write(&precious, FILES[0].1).unwrap();
    symlink(&precious, skill.join("SKILL.md")).unwrap();
    symlink(base.path().join("nowhere"), skill.join(LIST)).unwrap();
    install(base.path(), Path::new("")).unwrap();
    assert!(fs::symlink_metadata(skill.join("SKILL.md")).unwrap().is_file());
    assert!(fs::symlink_metadata(skill.join(LIST)).unwrap().is_file());
    assert!(!base.path().join("nowhere").exists());
    assert_eq!(fs::read_to_string(&precious).unwrap(), FILES[0].1);
}

#[test]
fn a_link_in_the_place_of_a_directory_is_refused() {
    for link in [".claude", ".claude/skills", ".claude/skills/paliadin", ".claude/skills/paliadin/references"] {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(base.path().join(link).parent().unwrap()).unwrap();
        symlink(elsewhere.path(), base.path().join(link)).unwrap();
        let error = install(base.path(), Path::new(".claude/skills")).unwrap_err();
        assert!(error.to_string().contains("a link will not do"), "{link}: {error}");
        assert!(entries(elsewhere.path()).is_empty(), "{link}");
    }
}

#[test]
fn files_of_an_older_version_go_unless_they_were_changed_or_are_not_ours() {
    let base = tempfile::tempdir().unwrap();
    let skill = base.path().join("paliadin");
    fs::create_dir_all(skill.join("references")).unwrap();
    fs::write(base.path().join("outside"), "old").unwrap();
    for name in ["gone.md", "changed.md", "unknown.md"] {
        fs::write(skill.join("references").join(name), "old").unwrap();
    }
    fs::write(skill.join("references/changed.md"), "by somebody").unwrap();
    let sum = digest(b"old");
    let listed =
        ["references/gone.md", "references/changed.md", "references/never-there.md", "../outside", "a/../../outside"];
    let list: String = listed.map(|path| format!("{sum}  {path}\n")).concat();
    fs::write(skill.join(LIST), list + "not a line of ours\n").unwrap();
    let changes = install(base.path(), Path::new("")).unwrap();
    assert_eq!(changes.removed, [skill.join("references/gone.md")]);
    assert_eq!(changes.written.len(), FILES.len());
    let left = entries(&skill.join("references"));
    assert!(!left.contains(&"gone.md".to_owned()), "{left:?}");
    assert!(left.contains(&"changed.md".to_owned()) && left.contains(&"unknown.md".to_owned()), "{left:?}");
    assert!(base.path().join("outside").exists());
    assert_eq!(install(base.path(), Path::new("")).unwrap(), Changes::default());
}

#[test]
fn what_cannot_be_written_is_named() {
    let base = tempfile::tempdir().unwrap();
    let missing = install(&base.path().join("missing"), Path::new("")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().contains("missing"), "{missing}");
    for below in ["..", "a/../..", "/etc"] {
        let error = install(base.path(), Path::new(below)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{below}: {error}");
    }
    // Not even root may make a directory there.
    let error = install(Path::new("/proc/self"), Path::new("")).unwrap_err();
    assert!(error.to_string().contains("/proc/self/paliadin"), "{error}");
    fs::create_dir_all(base.path().join("paliadin/SKILL.md/in the way")).unwrap();
    let error = install(base.path(), Path::new("")).unwrap_err();
    assert!(error.to_string().contains("paliadin/SKILL.md"), "{error}");
    assert_eq!(entries(&base.path().join("paliadin")), ["SKILL.md"], "nothing is left behind");
}

#[test]
fn every_file_is_part_of_the_program_and_every_link_leads_somewhere() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills").join(NAME);
    let mut there: Vec<_> = entries(&source).into_iter().filter(|name| name != "references").collect();
    there.extend(entries(&source.join("references")).into_iter().map(|name| format!("references/{name}")));
    assert_eq!(there, FILES.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    for (path, text) in FILES {
        let links = pulldown_cmark::Parser::new(text).filter_map(|event| match event {
            pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) => Some(dest_url),
            _ => None,
        });
        for link in links {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let at = source.join(path).parent().unwrap().join(file);
            assert!(file.is_empty() || at.is_file(), "{path}: {link}");
            let target = if file.is_empty() { (*text).to_owned() } else { fs::read_to_string(at).unwrap() };
            let heading = |line: &str| {
                line.starts_with('#') && line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-") == anchor
            };
            assert!(anchor.is_empty() || target.lines().any(heading), "{path}: {link}");
        }
        assert!(text.ends_with('\n') && !text.contains('\r'), "{path}");
    }
}

#[test]
fn the_front_matter_names_and_describes_it() {
    let (path, text) = FILES[0];
    assert_eq!(path, "SKILL.md");
    let (front, _) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    let fields: Vec<_> = front.lines().map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(fields.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["name", "description"]);
    assert_eq!(fields[0].1, NAME);
    let description = fields[1].1;
    assert!(description.contains("[PALIADIN:<turn id>]") && description.len() <= 1024, "{}", description.len());
    // In a plain scalar of YAML these would mean something.
    assert!(!description.contains(": ") && !description.contains(" #"), "{description}");
}

/// The blocks of code of this language in one of the files.
fn examples(path: &str, language: &str) -> Vec<String> {
    let (_, text) = FILES.iter().find(|(known, _)| *known == path).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn its_examples_of_chips_and_trailer_are_understood() {
    let examples = examples("SKILL.md", "markdown");
    let [chips, trailer] = &examples[..] else { panic!("{examples:?}") };
    let read = answer::read(&format!("Three deals are stuck.\n\n{chips}\n{trailer}"));
    assert_eq!(read.warning, None);
    assert_eq!(read.chip_count, 3);
    assert_eq!(read.body, format!("Three deals are stuck.\n\n{}", chips));
    assert_eq!(
        (read.trailer.used_tools.as_slice(), read.trailer.rows_seen.as_slice()),
        (&["sql".to_owned()][..], &[12][..])
    );
    assert_eq!(read.trailer.classifier_tag.as_deref(), Some("lookup"));
    let (_, text) = FILES[0];
    let limit = answer::MAX_TRAILER;
    assert!(text.contains(&format!("{} KiB ({},{:03} bytes)", limit / 1024, limit / 1000, limit % 1000)));
}

#[test]
fn its_example_of_an_answer_by_files_is_an_answer() {
    let spool = tempfile::tempdir().unwrap();
    fs::create_dir(spool.path().join("out")).unwrap();
    for script in examples("references/files.md", "sh") {
        let shell =
            std::process::Command::new("sh").args(["-ec", &script]).env("PALIADIN_SPOOL", spool.path()).status();
        assert!(shell.unwrap().success(), "{script}");
    }
    let out = spool.path().join("out");
    let names = entries(&out);
    let [part, txt] = &names[..] else { panic!("{names:?}") };
    let (part, whole) = (fs::read_to_string(out.join(part)).unwrap(), fs::read_to_string(out.join(txt)).unwrap());
    let read = answer::read(&whole);
    assert!(read.body.starts_with(&part) && !read.body.contains("<!--"), "{whole}");
    assert_eq!((read.warning, read.trailer.rows_seen), (None, vec![2]));
}
