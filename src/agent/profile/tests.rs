use super::*;

#[test]
fn the_built_in_profiles_can_be_read() {
    for (name, _) in BUILT_IN {
        let profile = Profile::find(name, Path::new(""), None).unwrap();
        assert_eq!(&profile.name, name);
        assert!(profile.reply.is_some(), "{name}");
    }
    assert!(Profile::find("auto", Path::new(""), None).unwrap().is_demo());
}

#[test]
fn claude_is_found_where_it_is_installed_and_gets_settings() {
    let dir = tempfile::tempdir().unwrap();
    let path = Some(dir.path().as_os_str().to_owned());
    let program = dir.path().join("claude");
    std::fs::write(&program, "").unwrap();
    assert!(Profile::find("auto", Path::new(""), path.as_ref()).unwrap().is_demo(), "it cannot be run");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let claude = Profile::find("auto", Path::new(""), path.as_ref()).unwrap();
    assert_eq!((claude.name.as_str(), claude.hooks), ("claude", Some(Hooks::Claude)));
    let places = Places {
        own: Path::new("/bin/paliadin"),
        settings: Path::new("/spool/in/settings.json"),
        session: "s",
        spool: Path::new("/spool"),
    };
    let argv = claude.argv(&places);
    assert_eq!(argv[..3], ["claude", "--settings", "/spool/in/settings.json"]);
    assert!(!argv.iter().any(|word| word.contains('\n') || word.contains("{s")), "{argv:?}");
    assert!(claude.settings(Path::new("/bin/paliadin"), "").unwrap().contains("'/bin/paliadin' hook"));
}

#[test]
fn placeholders_are_put_in_place_once_wherever_they_may_stand() {
    let text = "command = ['{paliadin}', '{session}{session}', '{spool}/in:{spool', '{unknown}{']\n\
                launch = ['run', '--as={session}']\nowner = 'a-{session}'\nnewline = 'lf'\n\
                interrupt_key = 'Escape'\nenvironment = { AT = '{spool}/x' }\n";
    let profile = Profile::parse("mine", text, "here").unwrap();
    let places =
        Places { own: Path::new("/{session}"), settings: Path::new(""), session: "s-1", spool: Path::new("/sp") };
    assert_eq!(profile.argv(&places), ["run", "--as=s-1", "/{session}", "s-1s-1", "/sp/in:{spool", "{unknown}{"]);
    assert_eq!(profile.variables(&places), [("AT".to_owned(), "/sp/x".to_owned())]);
    assert_eq!((profile.owner_of("s-1").as_deref(), profile.only_owner()), (Some("a-s-1"), None));
    let shared = Profile { owner: "agent".to_owned(), ..profile.clone() };
    assert_eq!((shared.owner_of("s-1").as_deref(), shared.only_owner()), (Some("agent"), Some("agent")));
    let ours = Profile { owner: String::new(), ..profile };
    assert_eq!((ours.owner_of("s-1"), ours.only_owner()), (None, None));
}

#[test]
fn an_unknown_or_unusable_profile_is_named() {
    let text = Profile::find("nobody", Path::new(""), None).unwrap_err().to_string();
    assert!(text.contains("nobody") && text.contains("demo"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.toml"), "command = []\nspeed = 3\n").unwrap();
    let text = Profile::find("mine", dir.path(), None).unwrap_err().to_string();
    assert!(text.contains("mine") && text.contains("speed"), "{text}");
    let needless = "command = ['x', '{settings}']\nnewline = 'lf'\ninterrupt_key = 'Escape'\n";
    std::fs::write(dir.path().join("mine.toml"), needless).unwrap();
    let text = Profile::find("mine", dir.path(), None).unwrap_err().to_string();
    assert!(text.contains("hooks"), "{text}");
}

/// An unknown field is refused with the names of all that there are.
#[test]
fn the_demo_profile_explains_every_field() {
    let refused = Profile::parse("mine", "no_field = 1", "here").unwrap_err().to_string();
    let (_, known) = refused.split_once("expected one of ").unwrap();
    let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    assert!(known.len() > 10 && known.contains(&"restart"), "{known:?}");
    let text = include_str!("../../../config/agents/demo.toml");
    for field in known {
        let is_it = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{field} ="));
        let at = text.lines().position(is_it).unwrap_or_else(|| panic!("{field} is not there"));
        let before = text.lines().nth(at - 1).unwrap();
        assert!(before.starts_with("# "), "nothing is said about {field}: {before}");
    }
}
