//! Secrets that we hand out: made at random, shown once, stored as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Random bytes of a secret.
const LENGTH: usize = 32;

/// A new secret: `prefix` and 43 characters of base64url.
///
/// # Errors
/// Where the system has no random numbers.
pub fn generate(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is stored of a secret: its SHA-256 in lower-case hex. It needs no salt, since a secret is random and long.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_hash_as_everyone_does() {
        assert_ne!(generate("p_").unwrap(), generate("p_").unwrap());
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
