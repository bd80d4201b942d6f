"""How a source goes on from page to page."""

from __future__ import annotations

import pytest
from yarl import URL

from vestnik.quiz.sources.paging import ElsewhereError, Paging, PagingSettings

URL_ = URL("https://quiz.example.org/api/questions?limit=10")


def settings(**values: object) -> PagingSettings:
    return PagingSettings.model_validate({"parameter": "page", **values})


def test_without_paging_there_is_one_page() -> None:
    paging = Paging(None, by_next=False)
    assert paging.first(URL_) == URL_
    assert paging.next(URL_, None, 10) is None


def test_numbers_grow_until_a_page_is_empty() -> None:
    paging = Paging(settings(), by_next=False)
    first = paging.first(URL_)
    assert first.query == {"limit": "10", "page": "1"}
    second = paging.next(first, None, 10)
    assert second is not None
    assert second.query["page"] == "2"
    assert paging.next(second, None, 0) is None


def test_offsets_grow_by_the_size_of_a_page() -> None:
    paging = Paging(settings(parameter="offset", start=0, step=50), by_next=False)
    first = paging.first(URL_)
    second = paging.next(first, None, 1)
    assert second is not None
    assert (first.query["offset"], second.query["offset"]) == ("0", "50")


def test_a_cursor_goes_into_its_parameter() -> None:
    paging = Paging(settings(parameter="cursor"), by_next=True)
    assert paging.first(URL_) == URL_
    second = paging.next(URL_, "a/b&c", 10)
    assert second is not None
    assert second.query == {"limit": "10", "cursor": "a/b&c"}
    assert paging.next(second, None, 10) is None


@pytest.mark.parametrize(
    "link", ["/api/questions?page=2", "?page=2", "https://quiz.example.org/api/questions?page=2#x"]
)
def test_a_link_is_followed_relative_to_its_page(link: str) -> None:
    assert str(Paging(None, by_next=True).next(URL_, link, 0)) == "https://quiz.example.org/api/questions?page=2"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "mailto:a@b", "http://[", "file:///etc/passwd"])
def test_what_leads_nowhere_ends_it(link: str) -> None:
    assert Paging(None, by_next=True).next(URL_, link, 5) is None


@pytest.mark.parametrize(
    "link", ["https://evil.example.org/", "//127.0.0.1/", "http://quiz.example.org/", "https://quiz.example.org:444/"]
)
def test_a_link_to_another_site_is_not_followed(link: str) -> None:
    with pytest.raises(ElsewhereError, match="another site"):
        Paging(None, by_next=True).next(URL_, link, 5)
