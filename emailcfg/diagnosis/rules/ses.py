"""Rules for Amazon SES."""

from emailcfg.diagnosis.rules.rule import ENVELOPE, LOGIN, Match, Rule, Service

SES = r"^email-smtp[.-]|amazonaws\.com$|awsapps\.com$"
SERVICE = Service(
    hosts=SES,
    signature=r"amazon|\baws\b|\bses:|arn:aws|identities failed the check|throttling failure",
    presets=("ses",),
)
CREDENTIALS = "Obtaining Amazon SES SMTP credentials, docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html"
IDENTITIES = "Verified identities in Amazon SES, docs.aws.amazon.com/ses/latest/dg/verify-addresses-and-domains.html"
SANDBOX = "Request production access, docs.aws.amazon.com/ses/latest/dg/request-production-access.html"
QUOTAS = "Managing your Amazon SES sending limits, docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html"
TROUBLE = "Amazon SES SMTP issues, docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html"

RULES = (
    Rule(
        "ses-raw-iam-secret",
        "This is the secret of an access key, not an SMTP password.",
        "The password has the 40 characters of an AWS secret access key. Amazon SES wants an SMTP password of 44 "
        "characters that is computed from the secret and the region.",
        "Let the form convert the secret for the region of {host}, or create SMTP credentials in the SES console, and "
        "test again.",
        (
            Match(stages=LOGIN, words=r"authentication credentials invalid", facts=("iam_secret",)),
            Match(stages=LOGIN, hosts=SES, facts=("iam_secret",)),
        ),
        CREDENTIALS,
    ),
    Rule(
        "ses-credentials",
        "Amazon SES does not accept these SMTP credentials.",
        "User name and password must be SMTP credentials of the same region as the host. They may belong to another "
        "region, be the raw access key, or their IAM user was deleted.",
        "Create SMTP credentials in the SES console of the host's region, enter both values and test again.",
        (
            Match(words=r"authentication credentials invalid"),
            Match(stages=LOGIN, hosts=SES, codes=(535,)),
        ),
        CREDENTIALS,
        notes=(
            ("host_region", "The host belongs to the region {host_region}."),
            ("odd_user", "The user name {odd_user} is no access key id, which begins with AKIA."),
        ),
    ),
    Rule(
        "ses-region-mismatch",
        "The answer comes from another region than the host's name says.",
        "Amazon SES refused the identity in {region}, while the host {host} names {host_region}. "
        "Identities and credentials are valid only in their own region.",
        "Use the host and the SMTP credentials of the region in which the sender is verified.",
        (Match(words=r"not verified", facts=("region_differs",)),),
        IDENTITIES,
    ),
    Rule(
        "ses-sandbox",
        "The Amazon SES account is in the sandbox.",
        "The address that failed the check is the recipient {recipient}. Only an account in the sandbox must verify "
        "recipients, so the account is not yet open for normal sending.",
        "Ask for production access in the SES console of this region, or test with a verified recipient.",
        (Match(words=r"not verified", facts=("identity_is_recipient",)),),
        SANDBOX,
        notes=(("region", "The region is {region}."),),
    ),
    Rule(
        "ses-identity-not-verified",
        "Amazon SES has not verified this sender.",
        "The sender, or its domain, is not a verified identity in the region of the host. Verification in another "
        "region does not count, and in the sandbox recipients must be verified too.",
        "Verify {sender} or the domain {sender_domain} in the SES console of this region, then test again.",
        (
            Match(
                words=r"email address(?:es)? (?:is|are) not verified|identities failed the check|"
                r"is not verified in region"
            ),
        ),
        IDENTITIES,
        notes=(
            ("identities", "The check failed for {identities}."),
            ("region", "The region is {region}."),
            ("also_recipient", "The recipient {also_recipient} failed too, so the account is in the sandbox."),
        ),
    ),
    Rule(
        "ses-permission",
        "The IAM user may not send mail.",
        "The credentials are right, but the policy of their IAM user does not allow the action ses:SendRawEmail for "
        "this sender.",
        "Attach a policy that allows ses:SendRawEmail to the IAM user of {username}, then test again.",
        (
            Match(words=r"ses:sendrawemail|not authorized to perform:? ?[`'\"]?ses:|access denied: user .*arn:aws"),
            Match(stages=ENVELOPE, hosts=SES, words=r"access ?denied"),
        ),
        CREDENTIALS,
    ),
    Rule(
        "ses-rate-limit",
        "Amazon SES asks for a slower pace.",
        "More messages came per second than the account's sending rate allows.",
        "Enter a lower number in “Messages per minute”, or ask AWS for a higher rate; waiting mail is tried again by "
        "itself.",
        (Match(words=r"maximum sending rate exceeded"), Match(codes=(454,), words=r"throttling failure")),
        QUOTAS,
    ),
    Rule(
        "ses-daily-quota",
        "The daily quota of Amazon SES is used up.",
        "The account may send a fixed number of messages in 24 hours, in the sandbox 200, and has sent them.",
        "Nothing is lost: the queue waits and goes on by itself. Ask AWS for a higher quota if it happens often.",
        (Match(words=r"(?:throttling failure: )?daily message quota exceeded"),),
        QUOTAS,
    ),
    Rule(
        "ses-sending-paused",
        "Amazon SES has paused sending for this account.",
        "AWS, or an administrator of the account, has stopped sending, usually because of bounces or complaints.",
        "Open the SES console, Reputation metrics, read the reason and follow it; mail waits in the queue.",
        (
            Match(
                words=r"sending (?:is )?(?:paused|suspended) for (?:this|your) account|"
                r"account'?s ability to send.*paused"
            ),
        ),
        TROUBLE,
    ),
)
