"""Headers as servers write them, with the names changed: Microsoft 365, Postfix with filters, Exchange, a forwarder."""

# A mail sent through SendGrid to a mailbox at Microsoft 365, which put it into the junk folder.
MICROSOFT = """\
Received: from AS8PR04MB0001.eurprd04.prod.outlook.com (2603:10a6:20b:3ff::1)
 by DB9PR04MB0002.eurprd04.prod.outlook.com with HTTPS; Mon, 23 Nov 2026
 14:00:09 +0000
Received: from DB8PR06CA0003.eurprd06.prod.outlook.com (2603:10a6:10:100::1)
 by AS8PR04MB0001.eurprd04.prod.outlook.com (2603:10a6:20b:3ff::1) with
 Microsoft SMTP Server (version=TLS1_2,
 cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.9000.1; Mon, 23 Nov
 2026 14:00:08 +0000
Received: from DU2PEPF00028D01.eurprd03.prod.outlook.com
 (2603:10a6:10:100:cafe::f2) by DB8PR06CA0003.outlook.office365.com
 (2603:10a6:10:100::1) with Microsoft SMTP Server (version=TLS1_3,
 cipher=TLS_AES_256_GCM_SHA384) id 15.20.9000.1 via Frontend Transport; Mon, 23
 Nov 2026 14:00:07 +0000
Authentication-Results: spf=pass (sender IP is 149.72.1.2)
 smtp.mailfrom=em1234.acme.example; dkim=fail (body hash did not verify)
 header.d=acme.example;dmarc=pass action=none
 header.from=acme.example;compauth=softpass reason=202
Received-SPF: Pass (protection.outlook.com: domain of em1234.acme.example
 designates 149.72.1.2 as permitted sender) receiver=protection.outlook.com;
 client-ip=149.72.1.2; helo=o1.ptr.sendgrid.example; pr=C
Received: from o1.ptr.sendgrid.example (149.72.1.2) by
 DU2PEPF00028D01.mail.protection.outlook.com (10.167.242.185) with Microsoft
 SMTP Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.9000.1
 via Frontend Transport; Mon, 23 Nov 2026 14:00:06 +0000
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=acme.example;
 h=content-type:from:subject:to; s=s1; bh=abc=; b=def
 ghi=
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sendgrid.info; h=from; s=smtpapi; bh=abc=; b=def=
Received: by recvd-5f4d7b6c9-abcde with SMTP id recvd-5f4d7b6c9-abcde-1-67-1
 2026-11-23 14:00:04.511862706 +0000 UTC m=+3232.1
Received: from NDIwMTU (unknown) by geopod-ismtpd-9 (SG) with HTTP id abcDEF
 Mon, 23 Nov 2026 14:00:04.450 +0000 (UTC)
Date: Mon, 23 Nov 2026 14:00:04 +0000 (UTC)
From: =?utf-8?q?Acme_B=C3=BCro?= <no-reply@acme.example>
Subject: =?UTF-8?B?RWluIFRlc3Qg4pyT?=
Message-ID: <abcDEF@geopod-ismtpd-9>
X-Forefront-Antispam-Report: CIP:149.72.1.2;CTRY:US;LANG:en;SCL:5;SRV:;IPV:NLI;SFV:SPM;H:o1.ptr.sendgrid.example;\
PTR:o1.ptr.sendgrid.example;CAT:SPM;SFS:(13230040);DIR:INB;
X-Microsoft-Antispam: BCL:7;ARA:13230040;
"""

# Debian's Postfix with policyd-spf, OpenDKIM and OpenDMARC, each of which writes a field of its own; amavis between.
POSTFIX = """\
Return-Path: <no-reply@acme.example>
Delivered-To: bob@example.org
Received: from localhost (localhost [127.0.0.1])
\tby mx.example.org (Postfix) with ESMTP id 4SaBcD1xyz
\tfor <bob@example.org>; Mon, 23 Nov 2026 15:00:20 +0100 (CET)
X-Virus-Scanned: Debian amavisd-new at mx.example.org
X-Spam-Status: Yes, score=6.2 required=5.0 tests=[BAYES_99=3.5, DKIM_VALID=-0.1] autolearn=no
Received: from mail.acme.example (mail.acme.example [203.0.113.9])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)
\t(No client certificate requested)
\tby mx.example.org (Postfix) with ESMTPS id 4SaBcC0abc
\tfor <bob@example.org>; Mon, 23 Nov 2026 15:00:12 +0100 (CET)
Authentication-Results: mx.example.org; dmarc=pass (p=reject dis=none) header.from=acme.example
Authentication-Results: mx.example.org (amavisd-new); dkim=pass (2048-bit key; unprotected) header.d=acme.example
\theader.i=@acme.example header.a=rsa-sha256 header.s=2026 header.b=abc
Authentication-Results: mx.example.org; spf=pass (sender SPF authorized) smtp.mailfrom=acme.example
\t(client-ip=203.0.113.9; helo=mail.acme.example; envelope-from=no-reply@acme.example; receiver=example.org)
Received: by mail.acme.example (Postfix, from userid 33)
\tid 4SaBcB9def; Mon, 23 Nov 2026 13:55:10 +0000 (UTC)
Authentication-Results: mx.example.org; dkim=fail; dmarc=fail
Authentication-Results: other.example.net; spf=fail
From: Acme <no-reply@acme.example>
Date: Mon, 23 Nov 2026 13:55:10 +0000 (UTC)
Subject: Your invitation
"""

# Forwarded by a university to Gmail: SPF broke on the way, and the forwarder's footer broke DKIM.
FORWARDED = """\
Delivered-To: bob@gmail.com
Received: by 2002:a05:6a20:1 with SMTP id a1csp1; Mon, 23 Nov 2026 06:00:30 -0800 (PST)
ARC-Seal: i=2; a=rsa-sha256; t=1; cv=pass; d=google.com; s=arc-20240605; b=abc
ARC-Authentication-Results: i=2; mx.google.com;
       dkim=fail header.i=@acme.example header.s=s1 header.b=abc;
       arc=pass (i=1 spf=pass spfdomain=acme.example dkim=pass dkdomain=acme.example dmarc=pass);
       spf=softfail (google.com: domain of transitioning no-reply@acme.example does not designate 198.51.100.7
       as permitted sender) smtp.mailfrom=no-reply@acme.example;
       dmarc=fail (p=REJECT sp=REJECT dis=NONE arc=pass) header.from=acme.example
Received: from lists.uni.example (lists.uni.example. [198.51.100.7])
        by mx.google.com with ESMTP id d9si1 for <bob@gmail.com>; Mon, 23 Nov 2026 06:00:29 -0800 (PST)
Authentication-Results: mx.google.com;
       dkim=fail header.i=@acme.example header.s=s1 header.b=abc;
       arc=pass (i=1 spf=pass spfdomain=acme.example dkim=pass dkdomain=acme.example dmarc=pass);
       spf=softfail (google.com: domain of transitioning no-reply@acme.example does not designate 198.51.100.7
       as permitted sender) smtp.mailfrom=no-reply@acme.example;
       dmarc=fail (p=REJECT sp=REJECT dis=NONE arc=pass) header.from=acme.example
ARC-Authentication-Results: i=1; lists.uni.example; spf=pass smtp.mailfrom=acme.example; dkim=pass
 header.d=acme.example; dmarc=pass header.from=acme.example
Received: from mail.acme.example ([203.0.113.9]) by lists.uni.example with esmtps  (TLS1.3) tls
 TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <no-reply@acme.example>) id 1rAbCd-0001;
 Mon, 23 Nov 2026 15:00:25 +0100
From: no-reply@acme.example
Subject: Hello
"""

# Exchange Server on premises behind Postfix: no results at all, an internal hop in clear.
EXCHANGE = """\
Received: from EX01.corp.example.com (10.1.1.5) by EX02.corp.example.com
 (10.1.1.6) with Microsoft SMTP Server (version=TLS1_2,
 cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.2.1118.40 via Mailbox
 Transport; Mon, 23 Nov 2026 15:00:10 +0100
Received: from gw.example.com (10.1.1.1) by EX01.corp.example.com (10.1.1.5)
 with Microsoft SMTP Server id 15.2.1118.40 via Frontend Transport; Mon, 23 Nov 2026 15:00:09 +0100
Received: from unknown (HELO shop.acme.example) (203.0.113.77)
  by gw.example.com with SMTP; 23 Nov 2026 13:59:00 -0000
Received-SPF: softfail (gw.example.com: transitioning domain of shop@acme.example does not designate
 203.0.113.77 as permitted sender)
From: shop@acme.example
"""
