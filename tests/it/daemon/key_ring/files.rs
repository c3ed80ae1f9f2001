//! The files of secrets: rotated whole or not at all, read as credentials, refused when others can use them.

use std::{fs, os::unix::fs::chown};

use fiador::api_key::ApiKey;

use super::{DEV, RELOADED, on};
use crate::kit::{
    caller::Caller,
    daemon::{Home, ended},
    redis::TestRedis,
    sealed::sealing_keys,
    stores::until,
};

const PAUSED: [(&str, &str); 1] = [("FAILPOINTS", "ring.written=pause")];
const DRAFT: &str = "data/keyring.toml.rotated";

/// A home whose daemon has made its ring.
async fn home_with_ring() -> Home {
    let home = Home::with_application(DEV).0;
    home.start().await.kill().await;
    home
}

#[tokio::test]
async fn a_rotation_that_is_killed_before_its_file_takes_the_place_leaves_the_old_ring_whole() {
    let home = home_with_ring().await;
    let before = home.read("data/keyring.toml");

    let mut rotation = home.begin(&["key", "rotate"], &PAUSED);
    until(async || home.path(DRAFT).exists()).await;
    rotation.kill().await.unwrap();

    assert_eq!(home.read("data/keyring.toml"), before);
    let daemon = home.start().await;
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;
    home.run(&["key", "rotate"]).await;
    assert_eq!(sealing_keys(&home.read("data/keyring.toml")).len(), 2);
    assert!(!home.path(DRAFT).exists());
}

#[tokio::test]
async fn while_one_rotates_another_is_refused() {
    let home = home_with_ring().await;
    let mut rotation = home.begin(&["key", "rotate"], &PAUSED);
    until(async || home.path(DRAFT).exists()).await;

    let (code, said) = ended(home.begin(&["key", "rotate"], &[])).await;

    assert_eq!(code, Some(1));
    assert!(said.contains("is being rotated by somebody else; try again"), "{said}");
    rotation.kill().await.unwrap();
}

#[tokio::test]
async fn of_many_rotations_at_once_each_adds_its_key_or_none() {
    let home = home_with_ring().await;

    let rotations: Vec<_> = (0..8).map(|_| home.begin(&["key", "rotate"], &[])).collect();
    let mut done = 0;
    for rotation in rotations {
        let (code, said) = ended(rotation).await;
        assert!(code == Some(0) || said.contains("is being rotated"), "{code:?} {said}");
        done += usize::from(code == Some(0));
    }

    assert!(done > 0);
    assert_eq!(sealing_keys(&home.read("data/keyring.toml")).len(), 1 + done);
}

#[tokio::test]
async fn rotate_says_what_is_done_and_what_is_to_be_done() {
    let server = TestRedis::start();
    let (alone, (shared, _)) = (home_with_ring().await, Home::with_application(&on(&server)));
    shared.start().await.kill().await;

    let said = alone.run(&["key", "rotate"]).await;
    assert!(said.contains("seals; those before it open.\nNext: send the daemon SIGHUP.\nThen back the file up anew"), "{said}");
    for (arguments, expected) in [
        (&["key", "rotate", "--prepare"][..], "opens now, and does not seal yet.\nNext: copy the file to the other daemons"),
        (&["key", "rotate", "--prepare"], "is prepared already; nothing was changed.\nNext: copy the file"),
        (&["key", "rotate"], "Next: copy the file to the other daemons, then send all of them SIGHUP.\n"),
        (&["key", "rotate"], "If others share its Redis, copy the file to them and send them SIGHUP first"),
    ] {
        let said = shared.run(arguments).await;
        assert!(said.contains(expected), "{said}");
        let newest = sealing_keys(&shared.read("data/keyring.toml")).pop().unwrap();
        let is_prepared = said.contains("yet") || said.contains("already");
        assert_eq!(said.contains(&format!("key {newest} ")), !is_prepared, "{said}");
    }
}

#[tokio::test]
async fn without_a_ring_there_is_nothing_to_rotate_and_nothing_is_made() {
    let (home, _) = Home::with_application(DEV);
    fs::create_dir(home.path("data")).unwrap();

    let (code, said) = ended(home.begin(&["key", "rotate"], &[])).await;

    assert_eq!((code, fs::read_dir(home.path("data")).unwrap().count()), (Some(1), 0));
    assert!(said.contains("data/keyring.toml is not there"), "{said}");
}

#[tokio::test]
async fn ring_and_password_are_read_as_credentials_and_such_a_ring_is_not_rotated() {
    let server = TestRedis::start_with(&["--requirepass", "hunter2"]);
    let key = ApiKey::draw();
    let home = home_with_ring().await;
    home.write_with_mode("credentials/ring", &home.read("data/keyring.toml"), 0o440);
    home.write_with_mode("credentials/redis", "hunter2\n", 0o440);
    fs::remove_dir_all(home.path("data")).unwrap();
    let store = format!("[store]\nredis_url = \"redis://default@127.0.0.1:{}\"\n", server.port());
    let config = format!("keyring_file = \"credential:ring\"\n{DEV}{store}redis_password_file = \"credential:redis\"\n");
    home.declare_application(&config, key.as_str());
    let directory = home.path("credentials");
    let environment = [("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];

    let daemon = home.start_with(&environment).await;
    Caller::of(&daemon, key.as_str()).start_for("ada@example.org").await;
    daemon.hang_up().await;
    daemon.until_logged(RELOADED).await;
    assert!(!home.path("data/keyring.toml").exists());

    let (code, said) = ended(home.begin(&["key", "rotate"], &environment)).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("rotate the file that LoadCredential= names, by `FIADOR__KEYRING_FILE=FILE fiador key rotate`"),
        "{said}"
    );
    home.write("source", &home.read("credentials/ring"));
    let (code, said) = ended(home.begin(&["key", "rotate"], &[("FIADOR__KEYRING_FILE", "source")])).await;
    assert_eq!((code, sealing_keys(&home.read("source")).len()), (Some(0), 2), "{said}");
}

#[tokio::test]
async fn files_that_others_can_use_or_own_are_refused_by_name_with_the_mend() {
    for (name, mode, expected) in [
        ("data/keyring.toml", 0o640, "can be read or written by others than its owner; chmod 600 data/keyring.toml"),
        ("data/fiador.redb", 0o604, "can be read or written by others than its owner; chmod 600 data/fiador.redb"),
        ("data", 0o770, "data_dir data can be read or written by others than its owner; chmod 700 data"),
        ("data", 0o702, "chmod 700 data"),
    ] {
        let home = home_with_ring().await;
        home.set_mode(name, mode);
        let refusal = home.refusal(&[("FIADOR__LOG__LEVEL", "error")]).await;
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[tokio::test]
async fn a_data_directory_that_others_may_only_look_into_is_taken() {
    let home = home_with_ring().await;
    home.set_mode("data", 0o755);

    home.start().await;
}

#[tokio::test]
async fn files_of_another_user_are_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can make such files
    }
    for name in ["data", "data/keyring.toml", "data/fiador.redb"] {
        let home = home_with_ring().await;
        chown(home.path(name), Some(65_534), None).unwrap();
        let refusal = home.refusal(&[("FIADOR__LOG__LEVEL", "error")]).await;
        assert!(refusal.contains(name) && refusal.contains("belongs to user 65534, neither to root nor to 0"), "{refusal}");
    }
}

#[tokio::test]
async fn a_daemon_dumps_no_core() {
    let daemon = Home::new().start().await;

    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();

    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
