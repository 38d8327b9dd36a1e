use super::*;

#[test]
fn names_of_secrets_are_recognised_by_their_words() {
    for name in [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "X-API-KEY",
        "apikey",
        "x_api_key",
        "X-Auth-Token",
        "accessToken",
        "access_token",
        "user[password]",
        "pass",
        "db.pass",
        "client_secret",
        "X-AuthToken",
        "sessionId",
        "X-Session-Id",
        "jwt",
        "credentials",
        "privateKey",
    ] {
        assert!(is_certain(name) && may_be_secret(name), "{name}");
    }
    for name in [
        "",
        "Accept",
        "X-Bypass-Cache",
        "X-Compass",
        "max_tokens",
        "tokenizer",
        "key",
        "X-Request-Id",
        "author",
        "Host",
        "passenger",
        "session",
        "api",
        "X-Auth-Request-Redirect",
    ] {
        assert!(!is_certain(name), "{name}");
    }
}

#[test]
fn compounds_plurals_and_misspelt_words_may_be_secret() {
    for name in [
        "PGPASSWORD",
        "dbpass",
        "ROOTPWD",
        "requirepass",
        "DB_PASSWORDS",
        "passwordHash",
        "secretkey",
        "DB_PASWORD",
        "my_pasword",
        "CREDENTAILS",
        "basic",
        "api_tokens",
        "myapikey2",
        "S7_PASSWORD",
        "user-pwd",
    ] {
        assert!(may_be_secret(name), "{name}");
    }
}

#[test]
fn words_that_only_look_like_one_are_no_secret() {
    for name in [
        "PASSENGER_APP_ENV",
        "passenger",
        "BYPASS_CACHE",
        "compass",
        "TOKENIZERS_PARALLELISM",
        "secretary",
        "pid",
        "secure",
        "header",
        "reader",
        "passed",
        "x-basic-y",
        "taken",
        "authority",
        "path",
        "passive",
        "keyboard",
    ] {
        assert!(!may_be_secret(name), "{name}");
    }
}

#[test]
fn whatever_is_refused_is_masked() {
    for name in ["X-Api-Key", "sessionId", "X-Auth-Token", "jwt", "auth-key"] {
        assert!(is_certain(name) && may_be_secret(name), "{name}");
    }
}

#[test]
fn variables_that_hold_secrets_are_recognised_by_their_names() {
    for name in [
        "DB_PASSWORD",
        "pgpassword",
        "ENCRYPTION_KEY",
        "app_key",
        "DB_PW",
        "SMTP_CREDS",
        "MYSQL_DSN",
        "HASH_SALT",
    ] {
        assert!(of_variable(name), "{name}");
    }
    for name in [
        "PWD",
        "OLDPWD",
        "POSTGRES_PASSWORD_FILE",
        "SSH_PUBLIC_KEY",
        "KEY",
        "MODE",
        "KEYCLOAK_URL",
        "PASSENGER_MAX_POOL_SIZE",
    ] {
        assert!(!of_variable(name), "{name}");
    }
}

#[test]
fn names_of_webhooks_users_arguments_and_counts_are_recognised() {
    assert!(of_webhook("SLACK_WEBHOOK_URL") && of_webhook("teamsWebhook") && !of_webhook("HOOKS_DIR"));
    assert!(of_user("POSTGRES_USER") && of_user("MYSQL_DATABASE") && !of_user("USER_PASSWORD"));
    assert!(is_open_argument("GIT_SHA") && is_open_argument("BASE_IMAGE") && !is_open_argument("ODD"));
    assert!(is_of_several("max_tokens") && is_of_several("TOKENS_PER_MINUTE"));
    assert!(!is_of_several("DB_PASS") && !is_of_several("pass"));
}
