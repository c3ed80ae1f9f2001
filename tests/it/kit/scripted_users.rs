//! What the scripted Gateway says of users.

use actix::prelude::*;
use fiador::{
    domain::{Attributes, EmailAddress, SignInMethod, SignedIn, UserExport, UserId, UserView},
    messages::{
        CreateUser, CreatedUser, DeleteUser, ExportUser, FindUser, ReadUser, SetPassword, SignIn, SignInAnswer, SignInByNumber,
        UpdateUser, UserSignedIn,
    },
};

use super::scripted_gateway::{Answers, NOW, ScriptedGateway, Seen, pending};

pub const USER_ID: &str = "usr_CANARYid-CANARYid-CANARYid-CANARYid-CANARYi";
pub const ASSERTION: &str = "head.body.signature";

macro_rules! answer_as_the_script_says {
    ($($message:ident => $answer:expr,)+) => {$(
        impl Handler<$message> for ScriptedGateway {
            type Result = <$message as Message>::Result;

            fn handle(&mut self, ask: $message, _: &mut Context<Self>) -> Self::Result {
                self.script.saw(Seen::$message(ask));
                let answer: fn(&Answers) -> Self::Result = $answer;
                answer(&self.script.answers())
            }
        }
    )+};
}

answer_as_the_script_says! {
    CreateUser => |answers| answers.user.clone().map(|user| CreatedUser { user, verification: Some(pending()) }),
    ReadUser => |answers| answers.user.clone(),
    FindUser => |answers| answers.user.clone(),
    UpdateUser => |answers| answers.user.clone(),
    DeleteUser => |answers| answers.user.clone().map(drop),
    ExportUser => |answers| answers.user.clone().map(export),
    SetPassword => |answers| answers.user.clone().map(drop),
    SignIn => |answers| answers.sign_in.clone(),
    SignInByNumber => |answers| answers.start.clone(),
}

pub fn ada() -> UserView {
    UserView {
        id: UserId::parse(USER_ID).unwrap(),
        email: EmailAddress::parse("ada@example.org").unwrap(),
        attributes: Attributes::new(r#"{"plan":"a"}"#.to_owned()).unwrap(),
        locale: None,
        created_at: NOW,
        updated_at: NOW,
        verified_at: None,
        password_changed_at: Some(NOW),
    }
}

pub fn signed_in() -> SignInAnswer {
    let signed_in = SignedIn {
        subject: USER_ID.to_owned(),
        audience: "shop".to_owned(),
        email: "ada@example.org".to_owned(),
        is_email_verified: true,
        methods: vec![SignInMethod::Password],
        at: NOW,
        jti: "once".to_owned(),
    };
    SignInAnswer::SignedIn(UserSignedIn { signed_in, assertion: ASSERTION.to_owned() })
}

fn export(user: UserView) -> UserExport {
    UserExport {
        user,
        verifications: Vec::new(),
        notices: Vec::new(),
        mails_asked_at: vec![NOW],
        wrong_checks_left: 10,
        failed_sign_ins_left: 9,
    }
}
