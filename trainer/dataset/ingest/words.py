"""What people call their columns and their speakers, in the languages that the page speaks."""

from __future__ import annotations

import re
import unicodedata

# A role -> names, the surest first; compared without case, blanks, dashes and underscores.
_COLUMNS: dict[str, str] = {
    "messages": "messages conversations conversation message dialog dialogue dialogs chat turns thread 对话 消息 会话 多轮对话 диалог 会話 대화",
    "prompt": (
        "instruction prompt question query problem ask q user human request inputtext sourcetext userprompt usermessage userinput "
        "questiontext task "
        "问题 指令 提问 问 用户 用户输入 题目 提示词 提示 query问题 вопрос инструкция запрос 質問 指示 問題 プロンプト 질문 지시 지시문 input 输入 输入内容 ввод 入力 입력"
    ),
    "query": "input context passage 输入 输入内容 上下文 背景 补充 材料 контекст ввод 入力 文脈 입력 문맥 instructioninput",
    "response": (
        "output response answer completion reply assistant gpt bot a responsetext target targettext answers answertext "
        "modelresponse assistantresponse assistantmessage solution generation summary translation "
        "回答 答案 输出 输出内容 回复 答复 答 助手 应答 解答 模型回答 ответ вывод 回答文 答え 応答 出力 답변 대답 응답 출력"
    ),
    "caption": "caption captions text description alttext label 描述 说明 标题 图片描述 文本 文字 описание подпись 説明 キャプション 설명 캡션",
    "label": "label labels class category sentiment intent 标签 类别 分类 情感 метка ラベル 라벨",
    "text": "text content document body article passage story paragraph sentence 文本 内容 正文 文章 текст 本文 テキスト 텍스트 본문",
    "system": "system systemprompt systemmessage persona 系统 系统提示 系统提示词 系统消息 系统指令 система システム 시스템",
    "history": "history context历史 历史 历史对话 对话历史 история 履歴 기록",
    "tools": "tools functions availabletools apis 工具 函数 инструменты ツール 도구",
    "images": (
        "images image img imgs picture pictures photo photos imagepath imagepaths imagefile imagename imagefilename imgpath filename filepath file "
        "图片 图像 照片 图片路径 图片名 图 изображение картинка фото 画像 写真 이미지 사진 그림"
    ),
    "videos": "videos video videopath clip clips filename filepath file 视频 视频路径 видео 動画 ビデオ 비디오 영상 동영상",
    "chosen": "chosen preferred accepted better good win winner responsechosen chosenresponse positive 选择 优选 采纳 好回答 更好的回答 лучший",
    "rejected": "rejected dispreferred worse bad lose loser responserejected rejectedresponse negative 拒绝 劣选 差回答 坏回答 更差的回答 худший",
    "kto_tag": "label ktotag kto thumbsup desirable feedback liked isgood good 标签 反馈 оценка ラベル 라벨",
}  # fmt: skip

# Who speaks -> the words for it.
SPEAKERS: dict[str, frozenset[str]] = {
    role: frozenset(words.split())
    for role, words in {
        "user": "user human usr prompter customer client question q instruction input 用户 人类 人 用户输入 客户 问 пользователь человек ユーザー 사용자",
        "assistant": "assistant gpt chatgpt bot model ai chatbot agent answer a output bard bing claude 助手 机器人 助理 客服 答 ассистент бот アシスタント 어시스턴트",
        "system": "system 系统 система システム 시스템 developer",
        "observation": "observation tool toolresponse tool_response functionresponse function_response toolresult tool_result ipython environment",
        "function": "function functioncall function_call toolcall tool_call",
    }.items()
}  # fmt: skip

ROLE_KEYS = ("from", "role", "speaker", "sender", "author", "who", "name", "角色", "说话人")
TEXT_KEYS = ("value", "content", "text", "message", "utterance", "body", "内容", "文本")


def plain(name: str) -> str:
    """A name as it is compared: without case, blanks, dashes and underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum())


_RANKS: dict[str, dict[str, int]] = {}
for _role, _names in _COLUMNS.items():
    _RANKS[_role] = {}
    for _place, _name in enumerate(_names.split()):
        _RANKS[_role].setdefault(plain(_name), _place)


def rank(role: str, column: str) -> int | None:
    """How sure the column's name means the role: 0 is the surest; None: it does not."""
    return _RANKS[role].get(plain(column))


def mentions(role: str, column: str) -> bool:
    """Whether the column's name has a word for the role among others: `Customer question`, `客服回答`."""
    whole = column.casefold()
    if any(rank(role, word) is not None for word in re.findall(r"[^\W\d_]{4,}", whole)):
        return True
    # Chinese and Japanese words stand side by side without blanks.
    return any(len(name) > 1 and min(name) > "\u2e7f" and name in whole for name in _RANKS[role])


def speaker(word: object) -> str | None:
    """Who speaks when a message says `word`; None for a word that is not known."""
    if not isinstance(word, str):
        return None
    given = word.strip().casefold()
    return next((role for role, words in SPEAKERS.items() if given in words), None)
