"""What the pages that Clary writes share: each is one HTML file that needs no network.

templates   the frame `page.html`, its stylesheet, and the script for pointing and sorting
rendering   templates to HTML
drawing     scales, ticks and SVG paths
wording     numbers as a person reads them
"""
