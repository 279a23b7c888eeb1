//! Real agent programs in real panes, against a model API of our own and without any network: codex always, Claude Code
//! where `PALIADIN_TEST_CLAUDE=1` asks for it. `make agents` installs them.

mod claude;
mod codex;
mod isolation;
mod model;
mod stage;
mod suite;

/// Makes a test of each of these functions of the suite, for this agent.
macro_rules! run_for {
    ($agent:expr => $($test:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() -> crate::harness::Tested {
                let name = concat!(module_path!(), "::", stringify!($test));
                crate::agents::isolation::run(name, &$agent, crate::agents::suite::$test(&$agent))
            }
        )+
    };
}
use run_for;
