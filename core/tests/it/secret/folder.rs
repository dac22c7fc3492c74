//! The folder itself: what counts as a setting, what stops the reading.

use std::fs;

use car_core::secret::{MAX_SECRET_FILE_BYTES, SecretFileError, SecretFiles, TokenError};

use super::{Made, folder};

#[test]
fn no_folder_and_a_folder_without_settings_hold_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        SecretFiles::read(&dir.path().join("absent"))
            .unwrap()
            .is_empty()
    );
    assert!(SecretFiles::read(dir.path()).unwrap().is_empty());
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::create_dir(dir.path().join(".jwk")).unwrap();
    fs::write(dir.path().join(".hidden"), "no token").unwrap();
    assert!(SecretFiles::read(dir.path()).unwrap().is_empty());
}

#[test]
fn settings_without_their_key_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("PASSWORD"), "a.b.c.d.e").unwrap();
    let error = SecretFiles::read(dir.path()).unwrap_err();
    assert!(matches!(error, SecretFileError::NoKey { .. }), "{error:?}");
    assert!(error.to_string().contains(".jwk/key.jwk"), "{error}");
    assert!(error.hint().contains("private key"), "{}", error.hint());

    fs::create_dir_all(dir.path().join(".jwk/key.jwk")).unwrap();
    let error = SecretFiles::read(dir.path()).unwrap_err();
    assert!(
        matches!(error, SecretFileError::NotAFile { .. }),
        "{error:?}"
    );
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets");
    fs::write(&file, "text").unwrap();
    let error = SecretFiles::read(&file).unwrap_err();
    assert!(matches!(error, SecretFileError::Folder { .. }), "{error:?}");
    assert_eq!(error.path(), file);
}

#[test]
fn a_huge_file_is_refused_before_it_is_read_whole() {
    let made = Made::kept();
    let dir = folder(&made.keys["oct256"].to_string(), &[]);
    let file = fs::File::create(dir.path().join("PASSWORD")).unwrap();
    // Sparse: takes no space on the disk, and would take a terabyte of memory.
    file.set_len(1 << 40).unwrap();
    let error = SecretFiles::read(dir.path()).unwrap_err();
    assert!(
        matches!(error, SecretFileError::TooLarge { .. }),
        "{error:?}"
    );

    file.set_len(0).unwrap();
    fs::write(
        dir.path().join("PASSWORD"),
        vec![b'A'; MAX_SECRET_FILE_BYTES as usize],
    )
    .unwrap();
    let error = SecretFiles::read(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            SecretFileError::Token {
                source: TokenError::NotAToken,
                ..
            }
        ),
        "{error:?}"
    );
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_kubernetes_mount_is_read_through_its_links() {
        let made = Made::kept();
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir(at("..2026_11_22_08_00_00.123456")).unwrap();
        symlink("..2026_11_22_08_00_00.123456", at("..data")).unwrap();
        for (name, case) in [
            ("CAR_SERVICE_KEY", "A256KW A256CBC-HS512"),
            ("CONFIGURATION_AUTH_PASSWORD", "dir A256GCM"),
        ] {
            let token = format!("{}\n", made.case(case).token);
            fs::write(at("..data").join(name), token).unwrap();
            symlink(Path::new("..data").join(name), at(name)).unwrap();
        }
        fs::create_dir_all(at(".jwk/..2026_11_22_08_00_00.654321")).unwrap();
        symlink("..2026_11_22_08_00_00.654321", at(".jwk/..data")).unwrap();
        fs::write(at(".jwk/..data/key.jwk"), made.keys["oct256"].to_string()).unwrap();
        symlink("..data/key.jwk", at(".jwk/key.jwk")).unwrap();

        let secrets = SecretFiles::read(dir.path()).unwrap();
        let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
        assert_eq!(names, ["CAR_SERVICE_KEY", "CONFIGURATION_AUTH_PASSWORD"]);
        let text = made.case("dir A256GCM").text.as_deref().unwrap();
        assert!(secrets.values().all(|secret| secret.expose() == text));
    }

    #[test]
    fn a_link_without_a_target_is_an_error() {
        let made = Made::kept();
        let dir = folder(&made.keys["oct256"].to_string(), &[]);
        symlink("absent", dir.path().join("PASSWORD")).unwrap();
        let error = SecretFiles::read(dir.path()).unwrap_err();
        assert!(
            matches!(error, SecretFileError::Unreadable { .. }),
            "{error:?}"
        );
        assert!(error.path().ends_with("PASSWORD"));

        let dir = folder("", &[("PASSWORD", "a.b.c.d.e")]);
        fs::remove_file(dir.path().join(".jwk/key.jwk")).unwrap();
        symlink("absent", dir.path().join(".jwk/key.jwk")).unwrap();
        let error = SecretFiles::read(dir.path()).unwrap_err();
        assert!(
            matches!(error, SecretFileError::Unreadable { .. }),
            "{error:?}"
        );
        assert!(error.path().ends_with("key.jwk"));
    }

    #[test]
    fn a_socket_or_a_nameless_name_is_an_error() {
        let made = Made::kept();
        let dir = folder(&made.keys["oct256"].to_string(), &[]);
        let _socket = UnixListener::bind(dir.path().join("PASSWORD")).unwrap();
        let error = SecretFiles::read(dir.path()).unwrap_err();
        assert!(
            matches!(error, SecretFileError::NotAFile { .. }),
            "{error:?}"
        );

        let dir = folder(&made.keys["oct256"].to_string(), &[]);
        fs::write(dir.path().join(OsStr::from_bytes(b"PASS\xff")), "a.b.c.d.e").unwrap();
        let error = SecretFiles::read(dir.path()).unwrap_err();
        assert!(matches!(error, SecretFileError::Name { .. }), "{error:?}");
    }
}
