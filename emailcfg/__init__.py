"""How mail may leave: settings, secrets, revisions, providers and diagnosis."""
