//! An operator's templates: what they may say, in which language, and what is refused before any mail is written.

use std::{path::Path, sync::Arc, time::Duration};

use fiador::{
    actors::mailer::{MAX_HANDED_OVER, Mailer},
    config::Config,
    domain::{Application, IdentityNumber, LeasedMessage, Locale, MessageOutcome, Moment, Purpose},
    live::Live,
    mail::{
        rendering::{Mail, Renderer},
        smtp::SmtpTls,
        templates::Templates,
        transport::Route,
    },
    messages::MailQueued,
    supervision::{Policy, start},
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::kit::{
    fake_store::FakeStore,
    place::Place,
    post::{address, application, message},
    smtp_sink::SmtpSink,
};

const FRENCH_SUBJECT: &str =
    "{% if number_in_subject %}{{ number }}, votre code{% else %}Votre code{% endif %} {{ display_name }}\n";
const FRENCH_TEXT: &str = "Votre code {{ display_name }} :\n\n{{ number }}\n\nValable {{ minutes }} minutes.\n";
const FRENCH_HTML: &str = "<p lang=\"{{ locale }}\">{{ display_name }} : <b>{{ number }}</b></p>\n";

/// A place with the templates of one purpose and language in its directory `mails`.
fn with_templates(stem: &str, [subject, text, html]: [&str; 3]) -> Place {
    let place = Place::with_config("[mail]\ntemplates_dir = \"mails\"\n");
    add_templates(&place, stem, [subject, text, html]);
    place
}

fn add_templates(place: &Place, stem: &str, [subject, text, html]: [&str; 3]) {
    for (part, content) in [("subject", subject), ("txt", text), ("html", html)] {
        place.write(&format!("mails/{stem}.{part}"), content, 0o644);
    }
}

fn french() -> Place {
    with_templates("fr/default", [FRENCH_SUBJECT, FRENCH_TEXT, FRENCH_HTML])
}

fn load(place: &Place) -> Templates {
    Templates::load(&place.path("mails")).unwrap()
}

/// Why the templates are refused, from the file's name on.
fn refusal(place: &Place) -> String {
    let directory = place.path("mails");
    let why = Templates::load(&directory).unwrap_err().to_string();
    why.strip_prefix(&format!("{}/", directory.display())).unwrap_or(&why).to_owned()
}

fn locale(tag: &str) -> Locale {
    Locale::parse(tag).unwrap()
}

fn purpose(word: &str) -> Purpose {
    Purpose::parse(word).unwrap()
}

fn render(templates: &Templates, message: &LeasedMessage, application: &Application) -> Mail {
    Renderer::new(templates.clone()).render(message, application).unwrap()
}

// ---------------------------------------------------------------- whose words are used

#[test]
fn an_operators_language_is_written_in_the_operators_words() {
    let message = LeasedMessage { locale: locale("fr-CA"), ..message("ada@example.org") };
    let mail = render(&load(&french()), &message, &application());

    assert_eq!(mail.subject, "Votre code Corner Shop");
    assert_eq!(mail.text, "Votre code Corner Shop :\n\n40718293\n\nValable 10 minutes.");
    assert_eq!(mail.html, "<p lang=\"fr\">Corner Shop : <b>40718293</b></p>");
}

#[test]
fn the_nearest_language_is_taken() {
    let place = french();
    add_templates(&place, "es-AR/default", ["Tu código", "Che\n{{ number }}", "{{ number }}"]);
    let templates = load(&place);

    for (asked, application_locale, taken) in [
        ("es", "en", "es"),
        ("es-MX", "en", "es"),
        ("es-Latn-MX", "fr", "es"),
        ("es-AR", "en", "es-AR"),
        ("es-AR-u-nu-latn", "en", "es-AR"),
        ("de", "es", "es"),
        ("de-AT", "es-MX", "es"),
        ("de", "es-AR", "es-AR"),
        ("de", "fr-CA", "fr"),
        ("de", "it", "en"),
        ("en-GB", "es", "en"),
        ("fr", "es", "fr"),
    ] {
        let application = Application { locale: locale(application_locale), ..application() };
        let mail = render(&templates, &LeasedMessage { locale: locale(asked), ..message("ada@example.org") }, &application);
        let first_word = mail.text.split([' ', '\n']).next().unwrap();
        let language = match first_word {
            "Your" => "en",
            "Tu" => "es",
            "Che" => "es-AR",
            _ => "fr",
        };
        assert_eq!(language, taken, "{asked}, {application_locale}: {}", mail.text);
    }
}

#[test]
fn spanish_is_built_in_for_every_region() {
    let message = LeasedMessage { locale: locale("es-MX"), ..message("ada@example.org") };
    let mail = render(&Templates::default(), &message, &application());

    assert!(mail.text.starts_with("Tu código para iniciar sesión en Corner Shop:"), "{}", mail.text);
    assert!(mail.html.contains("<html lang=\"es\">"));
}

#[test]
fn a_purpose_of_its_own_goes_before_default_and_default_before_what_is_built_in() {
    let place = with_templates("en/reset-password", ["A new password", "Reset\n{{ number }}", "{{ number }}"]);
    let subject_for = |templates: &Templates, word, tag| {
        let message = LeasedMessage { purpose: purpose(word), locale: locale(tag), ..message("ada@example.org") };
        render(templates, &message, &application()).subject.clone()
    };

    let templates = load(&place);
    assert_eq!(subject_for(&templates, "reset-password", "en"), "A new password");
    assert_eq!(subject_for(&templates, "sign-in", "en"), "Your Corner Shop code");
    assert_eq!(subject_for(&templates, "reset-password", "es"), "Tu código de Corner Shop");

    add_templates(&place, "en/default", ["For {{ purpose }}", "Any\n{{ number }}", "{{ number }}"]);
    let templates = load(&place);
    assert_eq!(subject_for(&templates, "reset-password", "en"), "A new password");
    assert_eq!(subject_for(&templates, "close-account", "en"), "For close-account");
}

#[test]
fn a_subject_has_the_number_where_the_application_wants_it() {
    let message = LeasedMessage { locale: locale("fr"), ..message("ada@example.org") };
    let open = Application { number_in_subject: true, ..application() };

    assert_eq!(render(&load(&french()), &message, &open).subject, "40718293, votre code Corner Shop");
}

#[test]
fn the_repositorys_own_templates_can_be_an_operators() {
    let place = Place::new();
    for language in ["en", "es"] {
        for part in ["subject", "txt", "html"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/mail/templates/{language}/default.{part}"));
            place.write(&format!("mails/{language}/default.{part}"), &std::fs::read_to_string(path).unwrap(), 0o644);
        }
    }
    let message = LeasedMessage { locale: Locale::ES, ..message("ada@example.org") };

    let copied = render(&load(&place), &message, &application());

    assert!(copied.bytes == render(&Templates::default(), &message, &application()).bytes);
}

#[test]
fn windows_line_ends_and_hidden_files_change_nothing() {
    let place = french();
    add_templates(
        &place,
        "fr/default",
        [FRENCH_SUBJECT, FRENCH_TEXT, FRENCH_HTML].map(|text| text.replace('\n', "\r\n")).each_ref().map(String::as_str),
    );
    place.write("mails/.git/config", "", 0o644);
    place.write("mails/fr/.default.txt.swp", "", 0o644);

    let message = LeasedMessage { locale: locale("fr"), ..message("ada@example.org") };

    let mail = render(&load(&place), &message, &application());
    assert!(mail.bytes == render(&load(&french()), &message, &application()).bytes);
}

// ---------------------------------------------------------------- what is refused

#[test]
fn what_a_template_may_not_say_is_refused_with_its_file_and_line() {
    let (subject, text, html) = ("Code", "Code:\n{{ number }}\n", "<p>\n{{ number }}</p>");
    let link = "a mail may have no link, no form, no script and nothing from elsewhere";
    for (parts, expected) in [
        (
            [subject, "Hello {{ name }}\n{{ number }}", html],
            "default.txt:1: name is unknown; the variables are display_name, hours,",
        ),
        (["Hi\n{{ user }}", text, html], "default.subject:2: user is unknown"),
        ([subject, text, "<p>{{ number }}</p>\n{{ purpose.x }}"], "default.html:2: purpose.x is unknown"),
        (
            [subject, text, "{{ number }}{% if minutes > 1000 %}\n\n{{ addres }}\n{% endif %}"],
            "default.html:3: addres is unknown",
        ),
        ([subject, text, "{{ number }}{# {{ a }} #}\n{{ \"a\" }}\n{{\n a\n}}"], "default.html:4: a is unknown"),
        ([subject, "{{ number }}\n{{ range(9) }}", html], "default.txt:2: range is unknown"),
        ([subject, "{% if minutes %}\n{{ number }}", html], "default.txt:2: syntax error: unexpected end of input"),
        ([subject, "{{ number }\n", html], "default.txt:1: syntax error: unexpected"),
        ([subject, "{{ number }}\n{% include \"x\" %}", html], "default.txt:2: syntax error: unknown statement include"),
        ([subject, "{{ number }}\n{{ purpose|shout }}", html], "default.txt:2: unknown filter: filter shout is unknown"),
        ([subject, "Code: {{ number }}", html], "default.txt:1: must show {{ number }} alone on a line"),
        ([subject, "Code:\n\n{{ number_groups|join(' ') }}", html], "default.txt:3: must show {{ number }} alone on a line"),
        ([subject, "Code\n40718293", html], "default.txt:1: must show {{ number }} alone on a line"),
        (
            [subject, "{% if purpose == 'invite' %}Hello{% else %}\n{{ number }}\n{% endif %}", html],
            "default.txt:2: must show {{ number }} alone on a line",
        ),
        (
            [subject, text, "<p>\n{% if hours %}{{ number }}{% endif %}</p>"],
            "default.html:2: must show {{ number }}, or its number_groups",
        ),
        ([subject, text, "<p title=\"{{ number }}\">"], "default.html:1: must show {{ number }}, or its number_groups"),
        (
            [subject, text, "{% for group in number_groups %}\n<b>{{ group }}</b>\n{% endfor %}"],
            "default.html:1: must show {{ number }}, or its number_groups with nothing but tags between them",
        ),
        ([subject, text, "{{ number }}\n\n<b>{{ display_name|safe }}</b>"], "default.html:3: must show what it is given escaped"),
        (
            [subject, text, "{{ number }}\n{% autoescape false %}{{ display_name }}{% endautoescape %}"],
            "default.html:2: must show what it is given escaped, without the filter safe or an autoescape block",
        ),
        (["", text, html], "default.subject:1: must be one line of at most 120 characters"),
        (["Your\ncode", text, html], "default.subject:1: must be one line of at most 120 characters"),
        (
            ["A code for {{ display_name }} and {{ display_name }}", text, html],
            "default.subject:1: must be one line of at most 120",
        ),
        (["Code\n{{ number }}", text, html], "default.subject:2: must use the number only where number_in_subject is true"),
        ([subject, "{{ number }}\n\nSee https://shop.example", html], &format!("default.txt:3: has https:; {link}")),
        ([subject, text, "{{ number }}\n<p><A\nhref='x'>"], "default.html:2: has <a; a mail may have no link"),
        (
            [subject, text, "{{ number }}{# https://x #}{% if purpose == 'a' %}{% endif %}\n{{ 'http' ~ ':' }}"],
            "default.html:2: has http:",
        ),
    ] {
        let why = refusal(&with_templates("fr/default", parts));
        assert!(why.starts_with(&format!("fr/{expected}")), "{why}");
    }
}

#[test]
fn nothing_that_leads_out_of_a_mail_is_allowed() {
    for (html, found) in [
        ("<a>", "<a"),
        ("<p href = 'x'>", "href"),
        ("<form>", "<form"),
        ("<button>", "<button"),
        ("<input>", "<input"),
        ("<script>", "<script"),
        ("<iframe>", "<iframe"),
        ("<IMG>", "<img"),
        ("<link>", "<link"),
        ("<base>", "<base"),
        ("<object>", "<object"),
        ("<svg>", "<svg"),
        ("<td background=\"x\">", "background"),
        ("<p src\n=x>", "src"),
        ("<p style=\"background: URL(x)\">", "url("),
        ("<style>@import 'x'</style>", "@import"),
        ("<meta http-equiv=\"refresh\" content=\"0;url=x\">", "url"),
        ("<meta http-equiv=\"refresh\" content=\"0; URL = x\">", "url"),
        ("<p onclick=\"x\">", "onclick"),
        ("<body OnLoad='x'>", "onload"),
        ("www.example.org", "www."),
        ("http:", "http:"),
        ("HTTPS:", "https:"),
        ("ftp://x", "://"),
        ("mailto:a", "mailto:"),
        ("javascript:x", "javascript:"),
    ] {
        let why = refusal(&with_templates("en/default", ["Code", "{{ number }}", &format!("{{{{ number }}}}\n{html}")]));
        assert!(why.starts_with(&format!("en/default.html:2: has {found};")), "{html}: {why}");
    }
}

#[test]
fn what_only_looks_like_a_link_is_allowed() {
    let html = "<abbr title='x'>{{ number }}</abbr><article style='background: #eee'>source, action, <i>href</i></article>";
    load(&with_templates("en/default", ["Your code: use it", "{{ number }}\nwww", html]));
}

#[test]
fn a_part_that_is_missing_is_refused_by_name() {
    for (kept, missing) in [
        (["fr/default.subject", "fr/default.txt"], "fr/default.html: is missing; .subject, .txt and .html go together"),
        (["fr/default.txt", "fr/default.html"], "fr/default.subject: is missing"),
        (["fr/default.subject", "fr/default.html"], "fr/default.txt: is missing"),
        (["es/sign-in.subject", "es/sign-in.html"], "es/sign-in.txt: is missing"),
    ] {
        let place = Place::new();
        for file in kept {
            place.write(&format!("mails/{file}"), "{{ number }}", 0o644);
        }
        let why = refusal(&place);
        assert!(why.starts_with(missing), "{why}");
    }

    let why = refusal(&with_templates("fr/sign-in", ["Code", FRENCH_TEXT, FRENCH_HTML]));
    assert!(why.starts_with("fr/default.subject: is missing; ") && why.ends_with("has all three for default"), "{why}");
}

#[test]
fn what_is_of_no_use_where_it_is_is_refused_by_name() {
    for (file, expected) in [
        ("default.txt", "default.txt: must be a directory named by a language tag such as es or pt-BR"),
        ("pt-br/default.txt", "pt-br: must be a directory named by a language tag"),
        ("french/default.txt", "french: must be a directory named by a language tag"),
        ("fr/default.htm", "fr/default.htm: must be named by a purpose, or default, and .subject, .txt or .html"),
        ("fr/default.html.j2", "fr/default.html.j2: must be named by a purpose"),
        ("fr/Sign In.txt", "fr/Sign In.txt: must be named by a purpose"),
        ("fr/README", "fr/README: must be named by a purpose"),
    ] {
        let place = Place::new();
        place.write(&format!("mails/{file}"), "", 0o644);
        assert!(refusal(&place).starts_with(expected), "{}", refusal(&place));
    }

    let place = french();
    std::fs::write(place.path("mails/fr/default.txt"), b"\xff").unwrap();
    assert!(refusal(&place).starts_with("fr/default.txt: cannot be read: "), "{}", refusal(&place));
}

#[test]
fn the_daemon_does_not_start_with_templates_that_check_config_refuses() {
    let place = with_templates("fr/default", [FRENCH_SUBJECT, "{{ nunber }}", FRENCH_HTML]);

    let line = place.refusal(&["check-config"], &[]);

    assert!(line.starts_with("fiador: mails/fr/default.txt:1: nunber is unknown; the variables are"), "{line}");
    for command in [["serve"].as_slice(), &["mail", "preview"]] {
        assert_eq!(place.refusal(command, &[]), line);
    }
    let elsewhere = Place::new();
    let variable = [("FIADOR__MAIL__TEMPLATES_DIR", place.path("mails").display().to_string())];
    let line = elsewhere.refusal(&["check-config"], &variable.each_ref().map(|(name, path)| (*name, path.as_str())));
    assert!(line.contains("/mails/fr/default.txt:1: nunber is unknown"), "{line}");
}

#[test]
fn check_config_names_the_languages_there_are() {
    let said = String::from_utf8(french().fiador(&["check-config"], &[]).stdout).unwrap();

    assert!(said.contains("templates:    en, es, fr, from mails before those built in"), "{said}");
}

// ---------------------------------------------------------------- the preview

fn preview(place: &Place, arguments: &[&str]) -> String {
    let output = place.fiador(&[&["mail", "preview"], arguments].concat(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
    String::from_utf8(output.stdout).unwrap()
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

const SHOP: &str = r#"
[dev]
inbox = true
[[applications]]
name = "shop"
display_name = "The Shop"
keys = [{ hash = "sha256:f3f7e0c822e2169f14e342f1085ef62b5d9acea0cf18a8e5361f627f90d4f7e6" }]
locale = "es"
from = "codes@shop.example"
limits = { digits = 6 }
purposes = { confirm-address = { ttl_seconds = 86400 } }
"#;

#[actix::test]
async fn a_preview_is_what_the_mailer_sends_for_the_same_number() {
    let place = Place::with_config(SHOP);
    let shown = preview(&place, &["--purpose", "confirm-address", "--locale", "en"]);
    let Config { applications, templates, .. } = place.load().unwrap();
    let date = OffsetDateTime::parse(header(&shown, "Date"), &Rfc2822).unwrap();
    let started_at = Moment(u64::try_from(date.unix_timestamp()).unwrap() * 1000);
    let message = LeasedMessage {
        purpose: purpose("confirm-address"),
        number: Some(IdentityNumber::parse("407182").unwrap()),
        message_id: header(&shown, "Message-ID").to_owned(),
        written: None,
        started_at,
        expires_at: started_at + Duration::from_secs(86_400),
        ..message("ada@example.org")
    };
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    let mut store = FakeStore::start(vec![], 0);
    let route = Route::smtp(vec![sink.settings()]).unwrap();
    let renderer = Live::new(Renderer::new(templates));
    let applications = Live::new(applications.into_iter().map(Arc::new).collect());
    let mailer = Mailer::new(route, applications, renderer, store.claim(), store.settle());
    let mailer = start("mailer", Policy::default(), MAX_HANDED_OVER, |_| {}, |_| mailer);

    mailer.asks().ask(MailQueued { message: Box::new(message) }, Duration::from_secs(60)).await.unwrap();

    let sent = sink.next_mail().await;
    assert!(matches!(store.next_settlement().await, (1, MessageOutcome::Sent(_))));
    assert!(sent.recipient.ends_with("<ada@example.org>"), "{}", sent.recipient);
    assert_eq!(sent.content.trim_end(), shown.trim_end());
    assert!(shown.contains("Your code to confirm this address for The Shop:") && shown.contains("24 hours"), "{shown}");
}

#[test]
fn a_preview_speaks_the_language_that_is_asked_for_or_the_applications() {
    let place = Place::with_config(SHOP);

    let regional = preview(&place, &["--locale", "es-mx", "--purpose", "sign-in"]);
    assert!(regional.contains("<html lang=3D\"es\">") && regional.contains("iniciar sesi=C3=B3n"), "{regional}");
    assert!(preview(&place, &[]).contains("<html lang=3D\"es\">"));
    assert!(preview(&place, &["--locale", "en-GB"]).contains("Your code to sign in to The Shop:"));
    assert!(preview(&french(), &["--locale", "fr"]).contains("Votre code Fiador demo :"));
}

#[test]
fn a_preview_of_the_demo_application_makes_nothing() {
    let place = Place::new();

    let shown = preview(&place, &["--application", "demo"]);

    assert!(shown.contains("\r\n\r\n") && shown.lines().any(|line| line == "40718293"), "{shown}");
    assert!(!place.path("data").exists());
}

#[test]
fn a_preview_of_nothing_there_is_is_refused_in_one_line() {
    let place = Place::with_config(&format!(
        "{SHOP}{}",
        SHOP.replace("shop\"", "mall\"").replace("f3f7", "0000").split_once("true").unwrap().1
    ));
    for (arguments, expected) in [
        (["--purpose", "Sign In"], "fiador: --purpose must be sign-in, confirm-address, reset-password, or a word"),
        (["--locale", "es_MX"], "fiador: --locale must be a language tag such as en or es-MX"),
        (["--application", "market"], "fiador: --application must be one of: shop, mall"),
        (["--purpose", "sign-in"], "fiador: --application must be one of: shop, mall"),
        (["--config", "gone"], "fiador: gone: cannot be read"),
    ] {
        let line = place.refusal(&[["mail", "preview"], arguments].concat(), &[]);
        assert!(line.starts_with(expected), "{line}");
    }
    assert!(preview(&place, &["--application", "mall"]).contains("codes@shop.example"));
}

#[test]
fn a_mail_to_a_sample_address_is_no_mail_to_anyone() {
    assert_eq!(header(&preview(&Place::new(), &[]), "To"), address("ada@example.org").as_str());
}
