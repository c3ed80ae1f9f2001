//! `[http]` and `[http.tls]`: who may connect, how many, and with what it is encrypted.

use std::ffi::OsString;

use fiador::config::{Config, ConfigError};
use time::Duration;

use super::application;
use crate::kit::{place::Place, tls::TestCertificate};

/// A directory with a pair of files, whose listener is said more of.
fn place_with_pair(http: &str) -> (Place, TestCertificate) {
    let (place, certificate) = (Place::new(), TestCertificate::new());
    let names = ["certificate.pem", "key.pem"].map(|name| place.path(name).display().to_string());
    let tls = format!("[http.tls]\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n", names[0], names[1]);
    place.write("config.toml", &format!("[http]\n{http}\n{tls}[dev]\ninbox = true\n{}", application("")), 0o644);
    place.write("certificate.pem", &certificate.pem, 0o644);
    place.write("key.pem", &certificate.key_pem, 0o600);
    (place, certificate)
}

fn refusal(place: &Place) -> String {
    let Err(refusal) = place.load() else { panic!("it is allowed") };
    assert!(matches!(refusal, ConfigError::Value { .. }), "{refusal}");
    let line = refusal.to_string();
    assert!(!line.contains('\n') && !line.contains("PRIVATE"), "{line}");
    line
}

#[test]
fn with_a_certificate_any_address_may_be_listened_on() {
    let (place, certificate) = place_with_pair("listen = \"0.0.0.0:8420\"");

    let tls = place.load().unwrap().tls.unwrap();

    assert_eq!(tls.certified().cert, [certificate.der]);
    let said = place.fiador(&["check-config"], &[]).stdout;
    let expected = format!("0.0.0.0:8420, HTTPS, with a certificate that holds until {}", tls.expires_at().rfc3339());
    assert!(String::from_utf8(said).unwrap().contains(&expected));
}

#[test]
fn a_certificate_and_its_key_are_given_together() {
    for (line, key) in [("certificate_file", "http.tls.certificate_file"), ("key_file", "http.tls.key_file")] {
        let (place, _) = place_with_pair("");
        let text = std::fs::read_to_string(place.path("config.toml")).unwrap();
        let without: Vec<&str> = text.lines().filter(|shown| !shown.starts_with(line)).collect();
        place.write("config.toml", &without.join("\n"), 0o644);

        assert!(refusal(&place).contains(&format!("{key} must be given too")), "{}", refusal(&place));
    }
}

#[test]
fn files_that_are_no_pair_are_refused_by_name_and_mend() {
    let other = TestCertificate::new();
    let (certificate, key) = ("http.tls.certificate_file names ", "http.tls.key_file names ");
    for (name, text, mode, refused, mend) in [
        ("key.pem", other.key_pem.as_str(), 0o600, key, "which is not the key of the first certificate in"),
        ("certificate.pem", &other.pem, 0o644, key, "which is not the key of the first certificate in"),
        ("key.pem", &other.key_pem, 0o640, key, "which can be read or written by others than its owner; chmod 600"),
        ("key.pem", "nonsense", 0o600, key, "which must hold one private key in PEM"),
        ("key.pem", &other.pem, 0o600, key, "which must hold one private key in PEM"),
        ("certificate.pem", "nonsense", 0o644, certificate, "which must hold certificates in PEM"),
        ("certificate.pem", &other.key_pem, 0o644, certificate, "which must hold certificates in PEM"),
        (
            "certificate.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            0o644,
            certificate,
            "whose first certificate must be one of X.509",
        ),
        ("certificate.pem", &"#".repeat(300_000), 0o644, certificate, "which must have at most"),
    ] {
        let (place, _) = place_with_pair("");
        place.write(name, text, mode);

        let line = refusal(&place);

        assert!(line.contains(refused) && line.contains(mend) && line.contains(name), "{line}");
        assert!(line.contains("config.toml:4: ") || line.contains("config.toml:5: "), "{line}");
    }
    for name in ["certificate.pem", "key.pem"] {
        let (place, _) = place_with_pair("");
        std::fs::remove_file(place.path(name)).unwrap();
        assert!(refusal(&place).contains("which cannot be read: "), "{}", refusal(&place));
    }
}

#[test]
fn the_end_of_a_certificate_is_read_to_the_second() {
    let (place, _) = place_with_pair("");
    let certificate = TestCertificate::that_holds(Duration::days(-3));
    place.write("certificate.pem", &certificate.pem, 0o644);
    place.write("key.pem", &certificate.key_pem, 0o600);

    let ends = place.load().unwrap().tls.unwrap().expires_at();

    assert_eq!(ends.0, u64::try_from(certificate.not_after.unix_timestamp()).unwrap() * 1_000);
}

#[test]
fn what_the_listener_bounds_is_in_range_and_proxies_are_networks() {
    for (line, mend) in [
        ("connections = 0", "http.connections must be 1 to 1000000"),
        ("connections_per_peer = 1000001", "http.connections_per_peer must be 1 to 1000000"),
        ("trusted_proxies = [\"10.0.0.0/8\", \"nginx\"]", "http.trusted_proxies[1] must be a network"),
        ("trusted_proxies = \"10.0.0.0/8\"", "http.trusted_proxies must be a list"),
    ] {
        let place = Place::with_config(&format!("[http]\n{line}\n"));
        let refusal = place.load().unwrap_err().to_string();
        assert!(refusal.contains("config.toml:2: ") && refusal.contains(mend), "{refusal}");
    }
}

#[test]
fn a_list_in_a_variable_has_commas_between() {
    let place = Place::with_config("");
    let environment = [(OsString::from("FIADOR__HTTP__TRUSTED_PROXIES"), OsString::from("10.0.0.0/8, 192.0.2.1"))];

    let config = Config::load_with(Some(&place.path("config.toml")), environment).unwrap();

    assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
}
