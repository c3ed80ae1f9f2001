//! What the mail says, and what it never says.

use std::time::Duration;

use fiador::{
    domain::{Application, LeasedMessage, Locale, Purpose},
    mail::rendering::{Mail, Renderer},
};

use crate::kit::post::{MESSAGE_ID, NUMBER, address, application, message};

fn render(message: &LeasedMessage, application: &Application) -> Mail {
    Renderer::default().render(message, application).unwrap()
}

fn raw(mail: &Mail) -> String {
    String::from_utf8(mail.bytes.clone()).unwrap()
}

fn header_lines(mail: &Mail) -> Vec<String> {
    let raw = raw(mail).replace("\r\n ", " ");
    raw.split("\r\n\r\n").next().unwrap().lines().map(str::to_owned).collect()
}

/// What is left of HTML when it is copied.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    text
}

fn every_mail() -> Vec<Mail> {
    let mut mails = vec![];
    for locale in [Locale::EN, Locale::ES] {
        for purpose in ["sign-in", "confirm-address", "reset-password", "close-account"] {
            let purpose = Purpose::parse(purpose).unwrap();
            mails.push(render(&LeasedMessage { locale, purpose, ..message("ada@example.org") }, &application()));
        }
    }
    mails
}

#[test]
fn the_number_stands_alone_on_a_line_and_is_copied_bare_from_the_html() {
    for mail in every_mail() {
        assert!(mail.text.lines().any(|line| line == NUMBER), "{}", mail.text);
        assert!(without_tags(&mail.html).lines().any(|line| line == NUMBER), "{}", mail.html);
        assert!(mail.html.contains("<span>4071</span><span style=\"margin-left:.45em\">8293</span>"), "{}", mail.html);
    }
}

#[test]
fn no_mail_has_a_link_or_calls_itself_an_identity_card() {
    for mail in every_mail() {
        let raw = raw(&mail).to_lowercase();
        for word in ["http", "href", "www.", "identity", "identidad", "src="] {
            assert!(!raw.contains(word), "{word}: {raw}");
        }
        assert!(mail.text.contains("code") || mail.text.contains("código"));
    }
}

#[test]
fn each_purpose_has_its_own_sentence_in_each_language() {
    let first_lines: Vec<String> = every_mail().iter().map(|mail| mail.text.lines().next().unwrap().to_owned()).collect();

    assert_eq!(
        first_lines,
        [
            "Your code to sign in to Corner Shop:",
            "Your code to confirm this address for Corner Shop:",
            "Your code to reset your Corner Shop password:",
            "Your Corner Shop code:",
            "Tu código para iniciar sesión en Corner Shop:",
            "Tu código para confirmar esta dirección de correo en Corner Shop:",
            "Tu código para restablecer tu contraseña de Corner Shop:",
            "Tu código de Corner Shop:",
        ]
    );
}

#[test]
fn a_spanish_mail_is_spanish_from_the_subject_to_the_last_line() {
    let mail = render(&LeasedMessage { locale: Locale::ES, ..message("ada@example.org") }, &application());

    assert_eq!(mail.subject, "Tu código de Corner Shop");
    assert_eq!(
        mail.text,
        "Tu código para iniciar sesión en Corner Shop:\n\n40718293\n\nEl código es válido durante 10 minutos y solo sirve una \
         vez.\n\nSi no pediste este código, ignora este mensaje. No lo compartas con nadie, ni siquiera con quien diga \
         escribirte en nombre de Corner Shop."
    );
    assert!(mail.html.contains("<html lang=\"es\">"));
}

#[test]
fn the_number_is_in_the_subject_only_where_the_application_wants_it() {
    let discreet = render(&message("ada@example.org"), &application());
    let open = render(&message("ada@example.org"), &Application { number_in_subject: true, ..application() });

    assert_eq!(discreet.subject, "Your Corner Shop code");
    assert!(!header_lines(&discreet).join("\n").contains(NUMBER));
    assert_eq!(open.subject, "40718293 is your Corner Shop code");
}

#[test]
fn it_says_how_long_the_number_holds_and_never_too_long() {
    let said = |seconds, locale| {
        let expires_at = message("ada@example.org").started_at + Duration::from_secs(seconds);
        let mail = render(&LeasedMessage { expires_at, locale, ..message("ada@example.org") }, &application());
        mail.text.lines().nth(4).unwrap().to_owned()
    };

    assert_eq!(said(60, Locale::EN), "The code is valid for 1 minute and works once.");
    assert_eq!(said(119, Locale::ES), "El código es válido durante 1 minuto y solo sirve una vez.");
    assert_eq!(said(3_600, Locale::EN), "The code is valid for 60 minutes and works once.");
    assert_eq!(said(86_399, Locale::EN), "The code is valid for 23 hours and works once.");
    assert_eq!(said(86_400, Locale::ES), "El código es válido durante 24 horas y solo sirve una vez.");
}

#[test]
fn what_a_mail_may_carry_as_it_is_is_not_encoded() {
    let english = raw(&render(&message("ada@example.org"), &application()));
    assert_eq!(english.matches("Content-Transfer-Encoding: 7bit").count(), 2);
    let mail = render(&message("ada@example.org"), &application());
    assert!(english.contains(&mail.text.replace('\n', "\r\n")) && english.contains(&mail.html.replace('\n', "\r\n")));

    let spanish = raw(&render(&LeasedMessage { locale: Locale::ES, ..message("ada@example.org") }, &application()));
    assert_eq!(spanish.matches("Content-Transfer-Encoding: quoted-printable").count(), 2);

    let long = Application { display_name: "x ".repeat(500), ..application() };
    for mail in [english, spanish, raw(&render(&message("ada@example.org"), &long))] {
        assert!(mail.split("\r\n").all(|line| line.len() <= 998 && line.is_ascii() && !line.contains(['\r', '\n'])), "{mail}");
    }
}

#[test]
fn every_try_is_the_same_bytes_with_one_message_id() {
    let first = render(&message("ada@example.org"), &application());
    let later = render(&LeasedMessage { fence: 2, ..message("ada@example.org") }, &application());

    assert!(first.bytes == later.bytes);
    let ids: Vec<String> = header_lines(&first).into_iter().filter(|line| line.starts_with("Message-ID:")).collect();
    assert_eq!(ids, [format!("Message-ID: {MESSAGE_ID}")]);
}

#[test]
fn the_head_names_sender_reply_address_date_and_machine() {
    let lines = header_lines(&render(&message("Ada@Exämple.org"), &application()));

    for expected in [
        "From: \"Corner Shop\" <codes@shop.example>",
        "Reply-To: help@shop.example",
        "To: Ada@xn--exmple-cua.org",
        "Date: Thu, 01 Jan 2026 00:00:00 +0000",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
}

#[test]
fn a_display_name_can_neither_add_a_header_nor_break_the_html() {
    let display_name = "\"Tom & <b>Jerry</b>\"\r\nBcc: eve@example.org\r\n\r\nBoo".to_owned();
    let mail = render(&message("ada@example.org"), &Application { display_name, ..application() });

    assert!(!header_lines(&mail).iter().any(|line| line.to_lowercase().starts_with("bcc")), "{:#?}", header_lines(&mail));
    assert_eq!(header_lines(&mail).len(), header_lines(&render(&message("ada@example.org"), &application())).len());
    assert!(mail.html.contains("&quot;Tom &amp; &lt;b&gt;Jerry"), "{}", mail.html);
    assert!(mail.text.starts_with("Your code to sign in to \"Tom & <b>Jerry</b>\"  Bcc: eve@example.org"), "{}", mail.text);
}

#[test]
fn digits_are_shown_in_groups_of_three_or_four() {
    let shown = |digits: &str| {
        let number = Some(fiador::domain::IdentityNumber::parse(digits).unwrap());
        let mail = render(&LeasedMessage { number, ..message("ada@example.org") }, &application());
        let spans = mail.html.split("<span").skip(1).map(|span| span.split('>').nth(1).unwrap());
        spans.map(|text| text.trim_end_matches("</span")).map(str::len).collect::<Vec<_>>()
    };

    assert_eq!(shown("123456"), [3, 3]);
    assert_eq!(shown("1234567"), [3, 4]);
    assert_eq!(shown("1234567890"), [3, 3, 4]);
    assert_eq!(shown("123456789012"), [4, 4, 4]);
    assert_eq!(shown("123456789012345"), [3, 4, 4, 4]);
}

#[test]
fn what_an_address_may_be_a_mail_can_carry() {
    for text in ["ada@localhost", "a!#$%&'*+-/=?^_`{|}~z@example.org", "ädä@exämple.org", "x@a.b.c.example.org"] {
        let mail = render(&message(text), &Application { from: address(text), ..application() });
        assert_eq!(mail.envelope.to()[0].to_string(), address(text).for_smtp());
    }
}

#[test]
fn a_mail_shows_nothing_of_itself_in_debug() {
    assert_eq!(format!("{:?}", render(&message("ada@example.org"), &application())), "Mail");
}
