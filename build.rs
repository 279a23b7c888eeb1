//! Tells cargo when the chat page in `web/dist` was built anew, so that it goes into the program again. It builds
//! nothing itself: `make web` does.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A path that is missing would count as changed at every build. So what is watched until `web/dist` appears is the
    // directory in which it will.
    let bundle = std::path::Path::new("web/dist");
    println!("cargo::rerun-if-changed={}", if bundle.is_dir() { "web/dist" } else { "web" });
}
