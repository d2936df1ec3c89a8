"""What tests share: a forge of tokens, a fake auth server whose behaviour can be switched, raw ASGI calls."""
