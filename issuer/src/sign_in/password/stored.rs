//! Password hashes as they are stored: ours, and those that other systems made and an import brought along.

use std::str::FromStr as _;

use argon2::password_hash::phc;
use argon2::{Argon2, PasswordVerifier as _};
use bcrypt::HashParts;

/// The longest text of a hash.
const MAX_TEXT: usize = 512;

/// The most memory that one check may take, in KiB: what OWASP's Password Storage Cheat Sheet asks of scrypt.
const MAX_MEMORY: u64 = 128 * 1024;

/// The most memory times passes of argon2, in KiB; about a third of a second.
const MAX_ARGON2_WORK: u64 = 512 * 1024;

/// The most N·r·p of scrypt, twice what OWASP asks for.
const MAX_SCRYPT_WORK: u64 = 1 << 21;

/// How often PBKDF2 may hash. OWASP asks for 600,000 with SHA-256.
const PBKDF2_ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=2_000_000;

/// The cost of bcrypt, as a power of two; 14 takes about a second.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=14;

/// Why a text is no hash that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// Another algorithm, or no hash at all.
    #[error(
        "not a hash of a known kind: $argon2id$, $argon2i$, $argon2d$, $scrypt$, $pbkdf2-sha256$, $pbkdf2-sha512$, $2a$, $2b$, $2y$"
    )]
    Unknown,
    /// A known algorithm, but damaged.
    #[error("a damaged hash")]
    Malformed,
    /// So costly that signing in with it would be an attack, or so cheap that it protects nothing.
    #[error("a hash whose cost is out of bounds")]
    Cost,
}

/// A hash that can be checked within bounds of time and memory.
#[derive(Clone)]
pub struct StoredHash {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Argon2(phc::PasswordHash),
    Scrypt(scrypt::Params, phc::Salt, phc::Output),
    Pbkdf2(Digest, u32, phc::Salt, phc::Output),
    Bcrypt,
}

#[derive(Clone, Copy)]
enum Digest {
    Sha256,
    Sha512,
}

impl StoredHash {
    /// Reads a PHC string of argon2, scrypt or PBKDF2, passlib's spelling of PBKDF2, or a bcrypt hash.
    ///
    /// # Errors
    /// [`BadHash`].
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        if text.len() > MAX_TEXT {
            return Err(BadHash::Malformed);
        }
        let name = text.split('$').nth(1).unwrap_or_default();
        let (text, kind) = match name {
            "argon2id" | "argon2i" | "argon2d" => (text.to_owned(), argon2(text)?),
            "scrypt" => (text.to_owned(), scrypt(text)?),
            "pbkdf2-sha256" => pbkdf2(text, Digest::Sha256)?,
            "pbkdf2-sha512" => pbkdf2(text, Digest::Sha512)?,
            "2a" | "2b" | "2y" => (text.to_owned(), bcrypt(text)?),
            _ => return Err(BadHash::Unknown),
        };
        Ok(Self { text, kind })
    }

    /// How it is stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `password` is the one. Blocks for as long as the hash's cost says.
    pub fn fits(&self, password: &[u8]) -> bool {
        match &self.kind {
            Kind::Argon2(hash) => Argon2::default().verify_password(password, hash).is_ok(),
            Kind::Scrypt(params, salt, expected) => is_output(expected, |out| {
                scrypt::scrypt(password, salt, params, out).is_ok()
            }),
            Kind::Pbkdf2(digest, rounds, salt, expected) => is_output(expected, |out| {
                match digest {
                    Digest::Sha256 => {
                        pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, salt, *rounds, out);
                    }
                    Digest::Sha512 => {
                        pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, salt, *rounds, out);
                    }
                }
                true
            }),
            // Of a longer password bcrypt sees 72 bytes: so it was when the hash was made.
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
        }
    }
}

/// Whether `make` makes `expected`; compared in constant time.
fn is_output(expected: &phc::Output, make: impl FnOnce(&mut [u8]) -> bool) -> bool {
    let mut made = vec![0; expected.len()];
    make(&mut made) && phc::Output::new(&made).is_ok_and(|made| made == *expected)
}

fn parsed(text: &str) -> Result<(phc::PasswordHash, phc::Salt, phc::Output), BadHash> {
    let hash = phc::PasswordHash::new(text).map_err(|_| BadHash::Malformed)?;
    match (hash.salt, hash.hash) {
        (Some(salt), Some(output)) => Ok((hash, salt, output)),
        _ => Err(BadHash::Malformed),
    }
}

fn argon2(text: &str) -> Result<Kind, BadHash> {
    let (hash, _, _) = parsed(text)?;
    if hash
        .version
        .is_some_and(|version| ![16, 19].contains(&version))
    {
        return Err(BadHash::Malformed);
    }
    let params = argon2::Params::try_from(&hash).map_err(|_| BadHash::Malformed)?;
    let memory = u64::from(params.m_cost());
    let work = memory.saturating_mul(params.t_cost().into());
    if memory > MAX_MEMORY || work > MAX_ARGON2_WORK || params.p_cost() > 16 {
        return Err(BadHash::Cost);
    }
    Ok(Kind::Argon2(hash))
}

fn scrypt(text: &str) -> Result<Kind, BadHash> {
    let (hash, salt, output) = parsed(text)?;
    let number = |name| hash.params.get_decimal(name).ok_or(BadHash::Malformed);
    let (log_n, r, p) = (number("ln")?, number("r")?, number("p")?);
    if hash.params.iter().count() != 3 || hash.version.is_some() {
        return Err(BadHash::Malformed);
    }
    if !(1..=30).contains(&log_n) || r > 64 || p > 64 {
        return Err(BadHash::Cost);
    }
    let blocks = (1_u64 << log_n) * u64::from(r);
    if blocks / 8 > MAX_MEMORY || blocks * u64::from(p) > MAX_SCRYPT_WORK {
        return Err(BadHash::Cost);
    }
    let log_n = u8::try_from(log_n).map_err(|_| BadHash::Cost)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| BadHash::Cost)?;
    Ok(Kind::Scrypt(params, salt, output))
}

/// Passlib writes the rounds alone and `.` for `+`; that is stored as the PHC string it means.
fn pbkdf2(text: &str, digest: Digest) -> Result<(String, Kind), BadHash> {
    let parts: Vec<&str> = text.split('$').collect();
    let text = match parts[..] {
        ["", name, rounds, salt, hash] if rounds.bytes().all(|byte| byte.is_ascii_digit()) => {
            let base64 = |text: &str| text.replace('.', "+");
            format!("${name}$i={rounds}${}${}", base64(salt), base64(hash))
        }
        _ => text.to_owned(),
    };
    let (hash, salt, output) = parsed(&text)?;
    let rounds = hash.params.get_decimal("i").ok_or(BadHash::Malformed)?;
    let length = hash.params.get_decimal("l");
    let known = 1 + usize::from(length.is_some());
    let fits = length.is_none_or(|length| usize::try_from(length) == Ok(output.len()));
    if hash.params.iter().count() != known || !fits || hash.version.is_some() {
        return Err(BadHash::Malformed);
    }
    if !PBKDF2_ROUNDS.contains(&rounds) {
        return Err(BadHash::Cost);
    }
    Ok((text, Kind::Pbkdf2(digest, rounds, salt, output)))
}

fn bcrypt(text: &str) -> Result<Kind, BadHash> {
    let parts = HashParts::from_str(text).map_err(|_| BadHash::Malformed)?;
    if text.len() != 60 {
        return Err(BadHash::Malformed);
    }
    if !BCRYPT_COST.contains(&parts.get_cost()) {
        return Err(BadHash::Cost);
    }
    Ok(Kind::Bcrypt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Those of bcrypt are from crypt_blowfish 1.3, those of argon2 from phc-winner-argon2; the others were made with hashlib of
    /// Python 3, the last of them written as passlib writes it.
    const KNOWN: [(&str, &str); 10] = [
        (
            "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "U*U",
        ),
        (
            "$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
            "U*U*",
        ),
        (
            "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
            "U*U*U",
        ),
        (
            "$scrypt$ln=10,r=8,p=2$c29tZSBzYWx0IGJ5dGVzIQ$whMvt73K9Iq7NxCoHrzUOF1BkKwHD6HnO8CRVZcfG9I",
            "correct horse battery staple",
        ),
        (
            "$pbkdf2-sha256$i=1000,l=32$c29tZSBzYWx0IGJ5dGVzIQ$Of5+6kVcO3JTtdHp3U2pSyqdlVYTsnlicye8GkxlqFg",
            "correct horse battery staple",
        ),
        (
            "$pbkdf2-sha512$i=1200$c29tZSBzYWx0IGJ5dGVzIQ$FO/4D7DGbPJPpvioZs85H9dWcOrQ/9OqT/uJAUPyOKX7KHj7xF38V3Z9ylsXhG/o2bgezCQhvRSDWzfa/IP8IA",
            "correct horse battery staple",
        ),
        (
            "$pbkdf2-sha256$1500$.....................w$YXtPfEieSIgiAQDjEJZcwlWcqe36z7SW.116cRQWGs4",
            "correct horse battery staple",
        ),
        (
            "$argon2i$v=19$m=65536,t=1,p=1$c29tZXNhbHQAAAAAAAAAAA$+r0d29hqEB0yasKr55ZgICsQGSkl0v0kgwhd+U3wyRo",
            "password",
        ),
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "password",
        ),
        (
            "$argon2d$v=16$m=32,t=2,p=3,data=Dw8PDw8P$AAAAAAAAAAA$KnH4gniiaFnDvlA1xev3yovC4cnrrI6tnHOYtmja90o",
            "password",
        ),
    ];

    #[test]
    fn each_kind_knows_its_password_and_no_other() {
        for (text, password) in KNOWN {
            let hash = StoredHash::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(hash.fits(password.as_bytes()), "{text}");
            assert!(!hash.fits(b"another"), "{text}");
            assert!(!hash.fits(b""), "{text}");
            let again = StoredHash::parse(hash.as_str()).unwrap();
            assert!(
                again.fits(password.as_bytes()),
                "as stored: {}",
                again.as_str()
            );
        }
    }

    #[test]
    fn what_costs_too_much_or_nothing_is_refused() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE";
        for start in [
            "$argon2id$v=19$m=131073,t=1,p=1$",
            "$argon2id$v=19$m=131072,t=5,p=1$",
            "$argon2id$v=19$m=65536,t=1,p=17$",
            "$argon2id$v=19$m=65536,t=4294967295,p=1$",
            "$scrypt$ln=18,r=8,p=1$",
            "$scrypt$ln=16,r=8,p=8$",
            "$scrypt$ln=0,r=8,p=1$",
            "$scrypt$ln=40,r=1,p=1$",
            "$scrypt$ln=1,r=4294967295,p=4294967295$",
            "$pbkdf2-sha256$i=999$",
            "$pbkdf2-sha512$i=2000001$",
            "$pbkdf2-sha256$4000000000$",
        ] {
            let text = format!("{start}{salt_and_hash}");
            assert_eq!(
                StoredHash::parse(&text).err(),
                Some(BadHash::Cost),
                "{text}"
            );
        }
        let bcrypt = "$2b$15$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghijk";
        assert_ne!(StoredHash::parse(bcrypt).err(), None);
        let costly = KNOWN[0].0.replace("$2b$05$", "$2b$15$");
        assert_eq!(StoredHash::parse(&costly).err(), Some(BadHash::Cost));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for (text, why) in [
            ("", BadHash::Unknown),
            ("hunter2", BadHash::Unknown),
            ("5f4dcc3b5aa765d61d8327deb882cf99", BadHash::Unknown),
            ("$1$salt$hash", BadHash::Unknown),
            (
                "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                BadHash::Unknown,
            ),
            ("$2b$05$", BadHash::Malformed),
            (
                "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx",
                BadHash::Malformed,
            ),
            ("$argon2id$", BadHash::Malformed),
            ("$argon2id$v=19$m=19456,t=2,p=1", BadHash::Malformed),
            (
                "$scrypt$ln=14,r=8$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
                BadHash::Malformed,
            ),
            (
                "$scrypt$ln=14,r=8,p=1,x=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
                BadHash::Malformed,
            ),
            (
                "$pbkdf2-sha256$i=1000,l=16$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
                BadHash::Malformed,
            ),
        ] {
            assert_eq!(StoredHash::parse(text).err(), Some(why), "{text}");
        }
        let long = format!("$argon2id${}", "x".repeat(1_000));
        assert_eq!(StoredHash::parse(&long).err(), Some(BadHash::Malformed));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            start in prop::sample::select(vec!["", "$2b$", "$argon2id$v=19$", "$scrypt$", "$pbkdf2-sha256$"]),
            rest in "[ -~]{0,80}",
        ) {
            let _ = StoredHash::parse(&format!("{start}{rest}"));
        }
    }
}
