//! What can be found, by the names that Microsoft Presidio gives it where it has one
//! (<https://microsoft.github.io/presidio/supported_entities/>).

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $label:literal;)*) => {
        /// A sort of value that a built-in recognizer finds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The type's name: upper case, Presidio's where it has one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What stands in the place of a value in the style `label`.
            pub(super) const fn label(self) -> &'static str {
                match self { $(Self::$variant => concat!("<", $label, ">"),)* }
            }
        }
    };
}

kinds! {
    /// An email address (RFC 5321, ASCII).
    EmailAddress = "EMAIL_ADDRESS", "EMAIL";
    /// A telephone number: international (E.164), Korean, North American.
    PhoneNumber = "PHONE_NUMBER", "PHONE";
    /// A payment card number (ISO/IEC 7812, Luhn).
    CreditCard = "CREDIT_CARD", "CREDIT_CARD";
    /// A bank account number (ISO 13616, mod 97).
    IbanCode = "IBAN_CODE", "IBAN";
    /// A Korean resident registration number.
    KrRrn = "KR_RRN", "KR_RRN";
    /// A Korean alien registration number.
    KrFrn = "KR_FRN", "KR_FRN";
    /// A Korean passport number.
    KrPassport = "KR_PASSPORT", "KR_PASSPORT";
    /// A Korean driving licence number.
    KrDriverLicense = "KR_DRIVER_LICENSE", "KR_DRIVER_LICENSE";
    /// A Korean business registration number.
    KrBrn = "KR_BRN", "KR_BRN";
    /// A US social security number.
    UsSsn = "US_SSN", "US_SSN";
    /// A US individual taxpayer identification number.
    UsItin = "US_ITIN", "US_ITIN";
    /// An IPv4 or IPv6 address.
    IpAddress = "IP_ADDRESS", "IP";
    /// A MAC address.
    MacAddress = "MAC_ADDRESS", "MAC";
    /// The address of a crypto wallet.
    Crypto = "CRYPTO", "CRYPTO";
    /// User and password of a URL.
    UrlCredentials = "URL_CREDENTIALS", "URL_CREDENTIALS";
    /// The value of a telling parameter of a URL's query.
    UrlSecret = "URL_SECRET", "URL_SECRET";
    /// A key of OpenAI, or of the many that took over its form.
    OpenaiApiKey = "OPENAI_API_KEY", "OPENAI_API_KEY";
    /// A key of Anthropic.
    AnthropicApiKey = "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY";
    /// The id of an AWS key.
    AwsAccessKey = "AWS_ACCESS_KEY", "AWS_ACCESS_KEY";
    /// The secret half of an AWS key.
    AwsSecretKey = "AWS_SECRET_KEY", "AWS_SECRET_KEY";
    /// A token of GitHub.
    GithubToken = "GITHUB_TOKEN", "GITHUB_TOKEN";
    /// A token of GitLab.
    GitlabToken = "GITLAB_TOKEN", "GITLAB_TOKEN";
    /// A token or a webhook of Slack.
    SlackToken = "SLACK_TOKEN", "SLACK_TOKEN";
    /// A key or a token of Google.
    GoogleApiKey = "GOOGLE_API_KEY", "GOOGLE_API_KEY";
    /// A key of Stripe.
    StripeApiKey = "STRIPE_API_KEY", "STRIPE_API_KEY";
    /// A token of Hugging Face.
    HuggingFaceToken = "HUGGING_FACE_TOKEN", "HUGGING_FACE_TOKEN";
    /// A key of another known maker.
    ApiKey = "API_KEY", "API_KEY";
    /// What follows `Bearer` or `Basic` of an `Authorization` header.
    BearerToken = "BEARER_TOKEN", "BEARER_TOKEN";
    /// A JSON Web Token (RFC 7519).
    Jwt = "JWT", "JWT";
    /// A private key in PEM (RFC 7468).
    PrivateKey = "PRIVATE_KEY", "PRIVATE_KEY";
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Kind {
    /// Whether it is a number that people write with separators or without.
    pub(super) const fn is_number(self) -> bool {
        matches!(
            self,
            Self::PhoneNumber
                | Self::CreditCard
                | Self::IbanCode
                | Self::KrRrn
                | Self::KrFrn
                | Self::KrPassport
                | Self::KrDriverLicense
                | Self::KrBrn
                | Self::UsSsn
                | Self::UsItin
                | Self::MacAddress
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u64);

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    pub(super) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u32)
    }
}
